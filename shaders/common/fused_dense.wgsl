// A piece of a single position: invocations own four columns each, and inputs are the same for the whole workgroup.

fn pieceNUMBER(image: u32, lane: u32) {
    for (var first = 0u; first < P_QUADS; first += WIDTH) {
        let quad = min(first + lane, P_QUADS - 1u);
        var sum = vec4<f32>();
        for (var ky = 0u; ky < P_KH + nothing(); ky++) {
            let iy = ky - P_PY;
            for (var kx = 0u; kx < P_KW + nothing(); kx++) {
                let ix = kx - P_PX;
                if iy < P_IH && ix < P_IW {
                    let row = P_WEIGHTS + (ky * P_KW + kx) * P_CI * P_QUADS + quad;
                    for (var channel = 0u; channel < P_CI + nothing(); channel++) {
                        sum += load_NUMBER(image, iy, ix, channel) * weight(row + channel * P_QUADS);
                    }
                }
            }
        }
        for (var i = 0u; i < 4u; i++) {
            let column = 4u * quad + i;
            store_NUMBER(image, 0u, 0u, column, sum[i], first + lane < P_QUADS && column < P_COLUMNS);
        }
    }
}
