//#import exchange
//#import plane
// conv2d weight gradient of small images in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation keeps all pixels x of one input channel of some IMAGES, and goes through its kernels to BLOCK output channels, to which
// further images then add; the lanes of a workgroup own neighbouring input channels. Each lane loads its share of a channel's gradients
// g, which the lanes exchange as in conv2d_register.
// Prelude: shape constants, LANES, BLOCK, IMAGES; the plane of gradients (common/plane.wgsl); QUADS_X fours of a channel's pixels of as many
// images. Text: add_products() adds plane[j] * image[k] to acc[i] for each tap i that joins pixels j and k. N is a multiple of IMAGES;
// planes and kernels divide into fours.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<vec4<f32>>;

const PLANE_X = IH * IW; // of an image
const TAPS = KH * KW;
const C_NARROW = CO;

var<private> image: array<f32, QUADS_X * 4u>;
var<private> acc: array<f32, TAPS>;

fn narrow(quad: u32) -> vec4<f32> {
    return g[quad];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // A loop of a single round costs more than none.
    if N == IMAGES {
        add_images(0u, group, lane);
    } else {
        for (var n0 = 0u; n0 < N; n0 += IMAGES) {
            add_images(n0, group, lane);
        }
    }
}

// Adds what the images from n0 on do.
fn add_images(n0: u32, group: vec3<u32>, lane: u32) {
    let ci = group.x * LANES + lane;
    for (var q = 0u; q < QUADS_X; q++) { //#unroll always
        let n = n0 + q * 4u / PLANE_X;
        let v = x[(n * CI + ci) * (PLANE_X / 4u) + q % (PLANE_X / 4u)];
        image[4u * q] = v.x;
        image[4u * q + 1u] = v.y;
        image[4u * q + 2u] = v.z;
        image[4u * q + 3u] = v.w;
    }
    for (var co = group.y * BLOCK; co < min((group.y + 1u) * BLOCK, CO); co++) {
        load_plane(n0, co, lane);
        acc = array<f32, TAPS>();
        add_products();
        if ci < CI {
            for (var tap = 0u; tap < TAPS; tap += 4u) {
                let at = ((co * CI + ci) * TAPS + tap) / 4u;
                var sum = vec4(acc[tap], acc[tap + 1u], acc[tap + 2u], acc[tap + 3u]);
                if n0 > 0u {
                    sum += dw[at];
                }
                dw[at] = sum;
            }
        }
    }
}
