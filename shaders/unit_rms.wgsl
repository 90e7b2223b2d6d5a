//#import reduce
// One workgroup a sample.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = group.x * LEN;
    var sum = 0.0;
    for (var i = lane; i < LEN; i += WIDTH) {
        sum += x[start + i] * x[start + i];
    }
    let norm = sqrt(shared_sum(lane, sum));
    let scale = sqrt(f32(LEN)) / max(norm, MIN_NORM);
    for (var i = lane; i < LEN; i += WIDTH) {
        y[start + i] = scale * x[start + i];
    }
}
