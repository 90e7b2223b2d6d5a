//#import activation
//#import reduce
// One workgroup a block of channels, and a set of images where sets are independent (ROWS == SETS). PLANE and tensors
// count elements of `vec4` or `single`.
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
// Given means and variances, [2, C], where FIXED.
@group(0) @binding(3) var<storage, read> given: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
// Means and inverse standard deviations, [SETS, 2, C].
@group(0) @binding(5) var<storage, read_write> statistics: array<f32>;
// Averages to bring up to date, [2, C], where TRACKED.
@group(0) @binding(6) var<storage, read_write> running: array<f32>;

const COUNT = IMAGES * PLANE;
const VALUES = f32(COUNT * PER_ELEMENT);

fn address(subset: u32, channel: u32, i: u32) -> u32 {
    return ((subset * IMAGES + i / PLANE) * C + channel) * PLANE + i % PLANE;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var channel = group.x * BLOCK; channel < min(C, (group.x + 1u) * BLOCK); channel++) {
        for (var subset = group.y; subset < SETS; subset += ROWS) {
            var mean: f32;
            var variance: f32;
            if FIXED {
                mean = given[channel];
                variance = given[C + channel];
            } else {
                var sum = Element();
                for (var i = lane; i < COUNT; i += WIDTH) {
                    sum += x[address(subset, channel, i)];
                }
                mean = shared_sum(lane, total(sum)) / VALUES;
                var squares = Element();
                for (var i = lane; i < COUNT; i += WIDTH) {
                    let d = x[address(subset, channel, i)] - mean;
                    squares += d * d;
                }
                let deviation = shared_sum(lane, total(squares));
                variance = deviation / VALUES;
                if TRACKED && lane == 0u {
                    running[channel] += MOMENTUM * (mean - running[channel]);
                    let unbiased = deviation / (VALUES - 1.0);
                    running[C + channel] += MOMENTUM * (unbiased - running[C + channel]);
                }
            }
            let inverse = 1.0 / sqrt(variance + EPSILON);
            let factor = inverse * scale[channel];
            let offset = shift[channel];
            for (var i = lane; i < COUNT; i += WIDTH) {
                let at = address(subset, channel, i);
                y[at] = activate((x[at] - mean) * factor + offset);
            }
            if lane == 0u {
                statistics[2u * subset * C + channel] = mean;
                statistics[(2u * subset + 1u) * C + channel] = inverse;
            }
        }
    }
}
