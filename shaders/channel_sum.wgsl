//#import reduce
// One workgroup a block of channels. PLANE and x count elements of `vec4` or `single`.
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var channel = group.x * BLOCK; channel < min(C, (group.x + 1u) * BLOCK); channel++) {
        var sum = Element();
        for (var i = lane; i < N * PLANE; i += WIDTH) {
            sum += x[(i / PLANE * C + channel) * PLANE + i % PLANE];
        }
        let result = shared_sum(lane, total(sum));
        if lane == 0u {
            y[channel] = result;
        }
    }
}
