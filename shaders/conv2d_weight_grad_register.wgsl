//#import columns
// conv2d weight gradient in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation owns TK rows of the kernel, all KW columns, between one input channel and TC output channels; the lanes of a
// workgroup own neighbouring (ci, block of kernel rows) with the same output channels, or LANES_C lanes the same block with channels of
// their own. Inputs that a lane loads serve TC channels and up to KW taps, gradients g all of the lane's taps. The sum runs over output rows (n,oy), TX columns at a time; part s
// of SPLITS takes the rows from s*PART on.
// Prelude: shape constants, SPLITS, LANES, LANES_C, TK, TC, TX.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<vec4<f32>>;

const COLUMNS = (TX - 1u) * SX + KW; // input columns under TX outputs
const VEC4_X = IW % 4u == 0u && (TX * SX % 4u == 0u || TX >= OW); // x can be loaded by whole vec4s
const VEC4_G = OW % 4u == 0u && TX % 4u == 0u; // g can be loaded by whole vec4s
const VEC4_K = KW % 4u == 0u; // dw can be stored by whole vec4s
const BEFORE = PX;
const WINDOW_ROWS = TK;
const BLOCKS_K = (KH + TK - 1u) / TK;
const PART = (N * OH + SPLITS - 1u) / SPLITS;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x * (LANES / LANES_C) + lane / LANES_C;
    let ci = block / BLOCKS_K;
    let ky0 = block % BLOCKS_K * TK;
    let co0 = (group.y * LANES_C + lane % LANES_C) * TC;
    let part = group.z;

    var acc: array<array<array<f32, KW>, TK>, TC>;
    for (var y = part * PART; y < min((part + 1u) * PART, N * OH); y++) {
        let n = y / OH;
        let oy = y % OH;
        for (var ox = 0u; ox < OW; ox += TX) {
            var window: array<f32, WINDOW>;
            for (var tk = 0u; tk < TK; tk++) {
                let iy = oy * SY + ky0 + tk - PY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                load_window_row(&window, tk, row, ox * SX - PX, iy < IH);
            }
            for (var c = 0u; c < TC; c++) {
                let pixel = ((n * CO + co0 + c) * OH + oy) * OW + ox;
                var d: array<f32, TX>;
                for (var tx = 0u; tx < TX; tx += select(1u, 4u, VEC4_G)) {
                    let at = pixel + tx;
                    let inside = OW % TX == 0u || ox + tx < OW; // past the row's end a gradient counts as zero
                    if VEC4_G {
                        let t = select(vec4(0.0), g[at / 4u], inside);
                        d[tx] = t.x;
                        d[tx + 1u] = t.y;
                        d[tx + 2u] = t.z;
                        d[tx + 3u] = t.w;
                    } else {
                        d[tx] = select(0.0, g[at / 4u][at % 4u], inside);
                    }
                }
                for (var tx = 0u; tx < TX; tx++) {
                    for (var tk = 0u; tk < TK; tk++) {
                        for (var kx = 0u; kx < KW; kx++) {
                            acc[c][tk][kx] = fma(d[tx], window[tk * VEC4S * 4u + LEAD + tx * SX + kx], acc[c][tk][kx]);
                        }
                    }
                }
            }
        }
    }

    for (var c = 0u; c < TC; c++) {
        let co = co0 + c;
        for (var tk = 0u; tk < TK; tk++) {
            let ky = ky0 + tk;
            let row = (((part * CO + co) * CI + ci) * KH + ky) * KW;
            if ci < CI && co < CO && ky < KH {
                for (var kx = 0u; kx < KW; kx += select(1u, 4u, VEC4_K)) {
                    if VEC4_K {
                        dw[(row + kx) / 4u] = vec4(acc[c][tk][kx], acc[c][tk][kx + 1u], acc[c][tk][kx + 2u], acc[c][tk][kx + 3u]);
                    } else {
                        dw[(row + kx) / 4u][(row + kx) % 4u] = acc[c][tk][kx];
                    }
                }
            }
        }
    }
}
