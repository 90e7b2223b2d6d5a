// A channel of the narrow grid, of some IMAGES, in the registers of every lane. The importing kernel declares narrow(quad), which loads
// from it, and C_NARROW, its channels. The host declares LANES; PLANE, pixels of an image's channel, PIXELS of all its IMAGES, and SHARES,
// fours of them that a lane loads.
var<private> plane: array<f32, PIXELS>;

const QUADS = PLANE / 4u;
const SHARE = SHARES / IMAGES;

// Each lane loads its share, and they exchange them. Every lane must call it.
fn load_plane(n0: u32, channel: u32, lane: u32) {
    var share: array<vec4<f32>, SHARES>;
    for (var i = 0u; i < SHARES; i++) { //#unroll
        let quad = i % SHARE * LANES + lane;
        if quad < QUADS {
            share[i] = narrow(((n0 + i / SHARE) * C_NARROW + channel) * QUADS + quad);
        }
    }
    for (var p = 0u; p < PIXELS; p++) { //#unroll always
        let quad = p % PLANE / 4u;
        plane[p] = of_lane(share[p / PLANE * SHARE + quad / LANES][p % 4u], lane, quad % LANES);
    }
}
