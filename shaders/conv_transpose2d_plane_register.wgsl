//#import activation
//#import convolution
//#import exchange
//#import plane
// Transposed conv2d of small images in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation owns all pixels of one output channel of some IMAGES, and goes through the input channels; the lanes of a workgroup own
// neighbouring output channels. Each lane loads the weights of its own, and its share of an input channel's pixels, which the lanes
// exchange.
// Prelude: shape constants, LANES, IMAGES; the input's plane (common/plane.wgsl); QUADS_Y fours of a channel's outputs of as many images,
// QUADS_K of taps; weights (common/weights_*.wgsl). Text: add_products() adds taps[i] * plane[j] to acc[k] for each tap that joins pixels
// j and k. N is a multiple of IMAGES; planes and kernels divide into fours.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

const PLANE_Y = OH * OW; // of an image
const C_NARROW = CI;

var<private> taps: array<f32, QUADS_K * 4u>;
var<private> acc: array<f32, QUADS_Y * 4u>;

fn narrow(quad: u32) -> vec4<f32> {
    return x[quad];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let co = group.x * LANES + lane;
    let n0 = group.y * IMAGES;
    for (var ci = 0u; ci < CI; ci++) {
        load_plane(n0, ci, lane);
        for (var k = 0u; k < QUADS_K; k++) { //#unroll always
            let t = weight((ci * CO + co) * QUADS_K + k);
            taps[4u * k] = t.x;
            taps[4u * k + 1u] = t.y;
            taps[4u * k + 2u] = t.z;
            taps[4u * k + 3u] = t.w;
        }
        add_products();
    }
    if co < CO {
        for (var q = 0u; q < QUADS_Y; q++) { //#unroll always
            let p = q * 4u;
            let out = (((n0 + p / PLANE_Y) * CO + co) * PLANE_Y + p % PLANE_Y) / 4u;
            y[out] = finish(vec4(acc[p], acc[p + 1u], acc[p + 2u], acc[p + 3u]), co, out);
        }
    }
}
