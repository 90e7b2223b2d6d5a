//#import reduce
// One workgroup a channel.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x;
    var sum = 0.0;
    for (var i = lane; i < N * PLANE; i += WIDTH) {
        sum += x[(i / PLANE * C + channel) * PLANE + i % PLANE];
    }
    sum = workgroup_sum(lane, sum);
    if lane == 0u {
        y[channel] = sum;
    }
}
