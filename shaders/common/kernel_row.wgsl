// A row of a convolution's kernel, for the register kernels. The importing kernel declares w.

const VEC4_W = KW % 4u == 0u; // w can be loaded by whole vec4s

// The KW weights from `first` on.
fn kernel_row(first: u32) -> array<f32, KW> {
    var taps: array<f32, KW>;
    for (var kx = 0u; kx < KW; kx += select(1u, 4u, VEC4_W)) {
        let at = first + kx;
        if VEC4_W {
            let t = w[at / 4u];
            taps[kx] = t.x;
            taps[kx + 1u] = t.y;
            taps[kx + 2u] = t.z;
            taps[kx + 3u] = t.w;
        } else {
            taps[kx] = w[at / 4u][at % 4u];
        }
    }
    return taps;
}
