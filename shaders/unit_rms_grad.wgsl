//#import reduce
// One workgroup a sample.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = group.x * LEN;
    var sums = vec2<f32>(0.0);
    for (var i = lane; i < LEN; i += WIDTH) {
        sums += x[start + i] * vec2<f32>(x[start + i], dy[start + i]);
    }
    sums = shared_sum2(lane, sums);
    let norm = sqrt(sums.x);
    let scale = sqrt(f32(LEN)) / max(norm, MIN_NORM);
    let along = select(0.0, scale * scale * scale * sums.y / f32(LEN), norm > MIN_NORM);
    for (var i = lane; i < LEN; i += WIDTH) {
        dx[start + i] = scale * dy[start + i] - along * x[start + i];
    }
}
