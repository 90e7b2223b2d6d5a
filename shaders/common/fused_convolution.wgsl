// An implicit matrix product of a layer: each invocation owns positions of the grid, and sums all columns of some of
// them at once, so that weights are the same for the whole workgroup, and are loaded once for those.

fn gemmNUMBER(image: u32, lane: u32) {
    const GRID = P_GH * P_GW;
    // No condition where none is needed: software drivers store eight times slower under one.
    const EVEN = GRID % (WIDTH * P_SHARE) == 0u;
    for (var first = 0u; first < GRID + nothing(); first += WIDTH * P_SHARE) {
        // Given its value: a browser on a software driver zeroed a variable without one only once, not in each round of the loop.
        var sums = array<array<vec4<f32>, P_VEC4S>, P_SHARE>();
        for (var ky = 0u; ky < P_KH + nothing(); ky++) {
            for (var kx = 0u; kx < P_KW + nothing(); kx++) {
                var pixels = array<u32, P_SHARE>();
                var inside = array<bool, P_SHARE>();
                for (var own = 0u; own < P_SHARE; own++) {
                    // Past the last position an invocation repeats it, and stores nothing.
                    let at = min(first + own * WIDTH + lane, GRID - 1u);
                    let iy = at / P_GW * P_STRIDE + ky - P_PY;
                    let ix = at % P_GW * P_STRIDE + kx - P_PX;
                    pixels[own] = pixel_NUMBER(image, min(iy, P_IH - 1u), min(ix, P_IW - 1u));
                    inside[own] = iy < P_IH && ix < P_IW;
                }
                let row = P_WEIGHTS + (ky * P_KW + kx) * P_CI * P_VEC4S;
                for (var channel = 0u; channel < P_CI + nothing(); channel++) {
                    var values = array<f32, P_SHARE>();
                    for (var own = 0u; own < P_SHARE; own++) {
                        values[own] = select(0.0, load_NUMBER(pixels[own], channel), inside[own]);
                    }
                    for (var vector = 0u; vector < P_VEC4S; vector++) {
                        let weights = weight(row + channel * P_VEC4S + vector);
                        for (var own = 0u; own < P_SHARE; own++) {
                            sums[own][vector] += values[own] * weights;
                        }
                    }
                }
            }
        }
        for (var own = 0u; own < P_SHARE; own++) {
            let position = first + own * WIDTH + lane;
            let at = min(position, GRID - 1u);
            for (var vector = 0u; vector < P_VEC4S; vector++) {
                for (var i = 0u; i < 4u; i++) {
                    if 4u * vector + i < P_COLUMNS {
                        store_NUMBER(image, at / P_GW, at % P_GW, 4u * vector + i, sums[own][vector][i], EVEN || position < GRID);
                    }
                }
            }
        }
    }
}
