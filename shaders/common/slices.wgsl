// Sums that slices of a workgroup share, for register kernels. The host declares LANES of a slice and SLICES, 64 of both on GPUs.

// As the tiles declare it, so that kernels side by side share memory.
var<workgroup> columns: array<array<f32, 64>, STAGED>;

// What the same lane of all slices has, always added in the same order. Every invocation must call it.
fn over_slices(share: f32, local: vec3<u32>) -> f32 {
    workgroupBarrier();
    columns[0][local.y * LANES + local.x] = share;
    workgroupBarrier();
    var sum = 0.0;
    for (var s = 0u; s < SLICES; s++) {
        sum += columns[0][s * LANES + local.x];
    }
    return sum;
}
