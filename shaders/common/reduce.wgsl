// Sums over a workgroup of WIDTH invocations, always in the same order.

var<workgroup> partial_sums: array<vec2<f32>, WIDTH>;

// Two sums at once. Every invocation must call it, and each gets the result.
fn shared_sum2(lane: u32, value: vec2<f32>) -> vec2<f32> {
    partial_sums[lane] = value;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if lane < half {
            partial_sums[lane] += partial_sums[lane + half];
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&partial_sums[0]);
}

fn shared_sum(lane: u32, value: f32) -> f32 {
    return shared_sum2(lane, vec2<f32>(value, 0.0)).x;
}
