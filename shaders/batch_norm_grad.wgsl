//#import reduce
// One workgroup a block of channels. PLANE and tensors count elements of `vec4` or `single`.
@group(0) @binding(0) var<storage, read> dy: array<Element>;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
// Means and inverse standard deviations, [SETS, 2, C].
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<Element>;
@group(0) @binding(5) var<storage, read_write> dscale: array<f32>;
@group(0) @binding(6) var<storage, read_write> dshift: array<f32>;

const COUNT = IMAGES * PLANE;

fn address(subset: u32, channel: u32, i: u32) -> u32 {
    return ((subset * IMAGES + i / PLANE) * C + channel) * PLANE + i % PLANE;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var channel = group.x * BLOCK; channel < min(C, (group.x + 1u) * BLOCK); channel++) {
        // Sums of dy and of dy times the normalised input.
        var totals = vec2<f32>(0.0);
        for (var subset = 0u; subset < SETS; subset++) {
            let mean = statistics[2u * subset * C + channel];
            let inverse = statistics[(2u * subset + 1u) * C + channel];
            var plain = Element();
            var product = Element();
            for (var i = lane; i < COUNT; i += WIDTH) {
                let at = address(subset, channel, i);
                let g = dy[at];
                plain += g;
                product += g * ((x[at] - mean) * inverse);
            }
            let sums = shared_sum2(lane, vec2<f32>(total(plain), total(product)));
            totals += sums;
            let means = select(sums / f32(COUNT * PER_ELEMENT), vec2<f32>(0.0), FIXED);
            let factor = scale[channel] * inverse;
            for (var i = lane; i < COUNT; i += WIDTH) {
                let at = address(subset, channel, i);
                dx[at] = factor * (dy[at] - means.x - (x[at] - mean) * (inverse * means.y));
            }
        }
        if lane == 0u {
            dscale[channel] = totals.y;
            dshift[channel] = totals.x;
        }
    }
}
