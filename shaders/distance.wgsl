//#import reduce
//#import distance_slope
// One workgroup a sample of SAMPLE elements of `vec4` or `single`. MEASURE: 0 L1, 1 mean squared, 2 L2. GRADIENTS: 1 with the
// gradient by `a`, 2 with that by `b` too.
@group(0) @binding(0) var<storage, read> a: array<Element>;
@group(0) @binding(1) var<storage, read> b: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<Element>;
@group(0) @binding(5) var<storage, read_write> db: array<Element>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = group.x * SAMPLE;
    var sums = Element();
    for (var i = lane; i < SAMPLE; i += WIDTH) {
        let d = a[start + i] - b[start + i];
        sums += select(d * d, abs(d), MEASURE == 0u);
    }
    let sum = shared_sum(lane, total(sums));
    let distance = select(FACTOR * sum, sqrt(sum), MEASURE == 2u);
    if lane == 0u {
        y[group.x] = distance;
    }
    if GRADIENTS > 0u {
        for (var i = start + lane; i < start + SAMPLE; i += WIDTH) {
            let slope = dy[group.x] * distance_slope(a[i] - b[i], distance);
            da[i] = slope;
            if GRADIENTS > 1u {
                db[i] = -slope;
            }
        }
    }
}
