// An implicit matrix product of a single position: invocations own some vec4s of columns each, and inputs are the same
// for the whole workgroup.

fn gemmNUMBER(image: u32, lane: u32) {
    // See fused_convolution.wgsl.
    const EVEN = P_COLUMNS % (4u * WIDTH * P_SHARE) == 0u;
    for (var first = 0u; first < P_VEC4S; first += WIDTH * P_SHARE) {
        var sums = array<vec4<f32>, P_SHARE>();
        for (var ky = 0u; ky < P_KH + nothing(); ky++) {
            let iy = ky - P_PY;
            for (var kx = 0u; kx < P_KW + nothing(); kx++) {
                let ix = kx - P_PX;
                if iy < P_IH && ix < P_IW {
                    let pixel = pixel_NUMBER(image, iy, ix);
                    let row = P_WEIGHTS + (ky * P_KW + kx) * P_CI * P_VEC4S;
                    for (var channel = 0u; channel < P_CI + nothing(); channel++) {
                        let v = load_NUMBER(pixel, channel);
                        for (var own = 0u; own < P_SHARE; own++) {
                            let vector = min(first + own * WIDTH + lane, P_VEC4S - 1u);
                            sums[own] += v * weight(row + channel * P_VEC4S + vector);
                        }
                    }
                }
            }
        }
        for (var own = 0u; own < P_SHARE; own++) {
            let vector = first + own * WIDTH + lane;
            for (var i = 0u; i < 4u; i++) {
                let column = min(4u * vector + i, P_COLUMNS - 1u);
                store_NUMBER(image, 0u, 0u, column, sums[own][i], EVEN || 4u * vector + i < P_COLUMNS);
            }
        }
    }
}
