// A piece of a layer: each invocation owns positions of the grid, and sums all columns at once, so that weights are the same
// for the whole workgroup.

fn pieceNUMBER(image: u32, lane: u32) {
    const GRID = P_GH * P_GW;
    for (var first = 0u; first < GRID + nothing(); first += WIDTH) {
        // Past the last position an invocation repeats it, and stores nothing.
        let at = min(first + lane, GRID - 1u);
        let gy = at / P_GW;
        let gx = at % P_GW;
        // Written out: in Chromium on SwiftShader a variable without a value was zeroed only once, not in each round of the loop.
        var sums = array<vec4<f32>, P_QUADS>();
        for (var ky = 0u; ky < P_KH + nothing(); ky++) {
            let iy = gy * P_STRIDE + ky - P_PY;
            for (var kx = 0u; kx < P_KW + nothing(); kx++) {
                let ix = gx * P_STRIDE + kx - P_PX;
                let inside = iy < P_IH && ix < P_IW;
                let row = P_WEIGHTS + (ky * P_KW + kx) * P_CI * P_QUADS;
                for (var channel = 0u; channel < P_CI + nothing(); channel++) {
                    let v = select(0.0, load_NUMBER(image, min(iy, P_IH - 1u), min(ix, P_IW - 1u), channel), inside);
                    for (var quad = 0u; quad < P_QUADS; quad++) {
                        sums[quad] += v * weight(row + channel * P_QUADS + quad);
                    }
                }
            }
        }
        for (var quad = 0u; quad < P_QUADS; quad++) {
            for (var i = 0u; i < 4u; i++) {
                if 4u * quad + i < P_COLUMNS {
                    store_NUMBER(image, gy, gx, 4u * quad + i, sums[quad][i], first + lane < GRID);
                }
            }
        }
    }
}
