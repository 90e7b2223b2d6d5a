//#import reduce
// One workgroup sums everything.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < LEN; i += WIDTH) {
        sum += x[i];
    }
    sum = shared_sum(lane, sum);
    if lane == 0u {
        y[0] = FACTOR * sum;
    }
}
