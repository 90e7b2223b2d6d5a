// conv2d weight gradient in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation owns TK rows of the kernel, all KW columns, between one input channel and TC output channels; the lanes of a
// workgroup own neighbouring (ci, block of kernel rows) with the same output channels. So the index of a gradient g is uniform over the
// workgroup and its load a broadcast, shared by TK*KW weights; an input's index differs between lanes, which costs a loop
// over them there, shared by TC channels and up to KW taps. The sum runs over output rows (n,oy), TX columns at a time; part s
// of SPLITS takes the rows from s*PART on.
// Prelude: shape constants, SPLITS, LANES, TK, TC, TX.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

const COLUMNS = (TX - 1u) * SX + KW; // input columns under TX outputs
const QUAD_X = IW % 4u == 0u && (TX * SX % 4u == 0u || TX >= OW); // x can be loaded by whole vec4s
const QUAD_G = OW % 4u == 0u && TX % 4u == 0u; // g can be loaded by whole vec4s
const LEAD = select(0u, (4u - PX % 4u) % 4u, QUAD_X); // columns loaded before the first one needed
const QUADS = (LEAD + COLUMNS + 3u) / 4u;
const NEXT = OH * OW; // from a gradient to its neighbour in the next output channel
const BLOCKS_K = (KH + TK - 1u) / TK;
const PART = (N * OH + SPLITS - 1u) / SPLITS;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x * LANES + lane;
    let ci = block / BLOCKS_K;
    let ky0 = block % BLOCKS_K * TK;
    let co0 = group.y * TC;
    let part = group.z;

    var acc: array<vec4<f32>, TC / 4u * TK * KW>; // four channels each
    for (var y = part * PART; y < min((part + 1u) * PART, N * OH); y++) {
        let n = y / OH;
        let oy = y % OH;
        for (var ox = 0u; ox < OW; ox += TX) {
            var window: array<f32, TK * QUADS * 4u>;
            for (var tk = 0u; tk < TK; tk++) {
                let iy = oy * SY + ky0 + tk - PY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                let ix0 = ox * SX - PX - LEAD;
                for (var q = 0u; q < QUADS; q++) {
                    let at = (tk * QUADS + q) * 4u;
                    let ix = ix0 + q * 4u;
                    if QUAD_X {
                        let v = select(vec4(0.0), x[(row + ix) / 4u], iy < IH && ix < IW);
                        window[at] = v.x;
                        window[at + 1u] = v.y;
                        window[at + 2u] = v.z;
                        window[at + 3u] = v.w;
                    } else {
                        for (var i = 0u; i < 4u; i++) {
                            let v = x[(row + ix + i) / 4u][(row + ix + i) % 4u];
                            window[at + i] = select(0.0, v, iy < IH && ix + i < IW);
                        }
                    }
                }
            }
            for (var c = 0u; c < TC / 4u; c++) {
                let first = ((n * CO + co0 + c * 4u) * OH + oy) * OW + ox;
                var d: array<vec4<f32>, TX>; // the gradients of a pixel in four channels
                for (var tx = 0u; tx < TX; tx += select(1u, 4u, QUAD_G)) {
                    let i = first + tx;
                    if QUAD_G {
                        let t = transpose(mat4x4(g[i / 4u], g[(i + NEXT) / 4u], g[(i + 2u * NEXT) / 4u], g[(i + 3u * NEXT) / 4u]));
                        d[tx] = t[0];
                        d[tx + 1u] = t[1];
                        d[tx + 2u] = t[2];
                        d[tx + 3u] = t[3];
                    } else {
                        for (var e = 0u; e < 4u; e++) {
                            let v = g[(i + e * NEXT) / 4u][(i + e * NEXT) % 4u];
                            d[tx][e] = select(0.0, v, ox + tx < OW);
                        }
                    }
                }
                for (var tx = 0u; tx < TX; tx++) {
                    for (var tk = 0u; tk < TK; tk++) {
                        for (var kx = 0u; kx < KW; kx++) {
                            let a = (c * TK + tk) * KW + kx;
                            let i = tk * QUADS * 4u + LEAD + tx * SX + kx;
                            acc[a] = fma(d[tx], vec4(window[i]), acc[a]);
                        }
                    }
                }
            }
        }
    }

    for (var c = 0u; c < TC; c++) {
        for (var tk = 0u; tk < TK; tk++) {
            for (var kx = 0u; kx < KW; kx++) {
                let co = co0 + c;
                let ky = ky0 + tk;
                if ci < CI && co < CO && ky < KH {
                    dw[(((part * CO + co) * CI + ci) * KH + ky) * KW + kx] = acc[(c / 4u * TK + tk) * KW + kx][c % 4u];
                }
            }
        }
    }
}
