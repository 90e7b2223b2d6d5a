// One workgroup a block of channels, SHARE invocations each. PLANE and x count elements of `quad` or `single`.
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let share = lane % SHARE;
    for (var first = group.x * BLOCK; first < min(C, (group.x + 1u) * BLOCK); first += WIDTH / SHARE) {
        let channel = first + lane / SHARE;
        var sum = Element();
        for (var i = share; i < N * PLANE; i += SHARE) {
            sum += x[(i / PLANE * C + channel) * PLANE + i % PLANE];
        }
        let result = shared_sum(lane, total(sum));
        if share == 0u && channel < C {
            y[channel] = result;
        }
    }
}
