// Sums that slices of a workgroup share, for register kernels. The host declares LANES of a slice, SLICES, and INVOCATIONS of both.

var<workgroup> shares: array<f32, INVOCATIONS>;

// What the same lane of all slices has, always added in the same order. Every invocation must call it.
fn over_slices(share: f32, local: vec3<u32>) -> f32 {
    workgroupBarrier();
    shares[local.y * LANES + local.x] = share;
    workgroupBarrier();
    var sum = 0.0;
    for (var s = 0u; s < SLICES; s++) {
        sum += shares[s * LANES + local.x];
    }
    return sum;
}
