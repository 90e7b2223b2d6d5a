//#import columns
// conv2d weight gradient in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation owns TK rows of the kernel, all KW columns, between one input channel and TC output channels; the lanes of a
// workgroup own neighbouring (ci, block of kernel rows) with the same output channels. So the index of a gradient g is uniform over the
// workgroup and its load a broadcast, shared by TK*KW weights; an input's index differs between lanes, which costs a loop
// over them there, shared by TC channels and up to KW taps. The sum runs over output rows (n,oy), TX columns at a time; part s
// of SPLITS takes the rows from s*PART on.
// Prelude: shape constants, SPLITS, LANES, TK, TC, TX.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<vec4<f32>>;

const COLUMNS = (TX - 1u) * SX + KW; // input columns under TX outputs
const QUAD_X = IW % 4u == 0u && (TX * SX % 4u == 0u || TX >= OW); // x can be loaded by whole vec4s
const QUAD_G = OW % 4u == 0u && TX % 4u == 0u; // g can be loaded by whole vec4s
const QUAD_K = KW % 4u == 0u; // dw can be stored by whole vec4s
const LEAD = select(0u, (4u - PX % 4u) % 4u, QUAD_X); // columns loaded before the first one needed
const QUADS = (LEAD + COLUMNS + 3u) / 4u;
const WINDOW = TK * QUADS * 4u;
const ACCUMULATORS = TC / 4u * TK * KW;
const HALF = (TC / 4u + 1u) / 2u;
const NEXT = OH * OW; // from a gradient to its neighbour in the next output channel
const BLOCKS_K = (KH + TK - 1u) / TK;
const PART = (N * OH + SPLITS - 1u) / SPLITS;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x * (LANES / LANES_C) + lane / LANES_C;
    let ci = block / BLOCKS_K;
    let ky0 = block % BLOCKS_K * TK;
    let co0 = (group.y * LANES_C + lane % LANES_C) * TC;
    let part = group.z;

    var acc: array<vec4<f32>, ACCUMULATORS>; // four channels each
    for (var y = part * PART; y < min((part + 1u) * PART, N * OH); y++) {
        let n = y / OH;
        let oy = y % OH;
        for (var ox = 0u; ox < OW; ox += TX) {
            var window: array<f32, WINDOW>;
            for (var tk = 0u; tk < TK; tk++) {
                let iy = oy * SY + ky0 + tk - PY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                let ix0 = ox * SX - PX - LEAD;
                for (var q = 0u; q < QUADS; q++) {
                    let at = (tk * QUADS + q) * 4u;
                    let ix = ix0 + q * 4u;
                    let v = four_columns(row, ix, iy < IH);
                    window[at] = v.x;
                    window[at + 1u] = v.y;
                    window[at + 2u] = v.z;
                    window[at + 3u] = v.w;
                }
            }
            multiply(&acc, &window, n, oy, ox, co0, 0u, HALF);
            if HALF < TC / 4u { multiply(&acc, &window, n, oy, ox, co0, HALF, TC / 4u); }
        }
    }

    for (var e = 0u; e < 4u; e++) {
        for (var c = 0u; c < TC / 4u; c++) {
            let co = co0 + c * 4u + e;
            for (var tk = 0u; tk < TK; tk++) {
                let ky = ky0 + tk;
                let row = (((part * CO + co) * CI + ci) * KH + ky) * KW;
                if ci < CI && co < CO && ky < KH {
                    for (var kx = 0u; kx < KW; kx += select(1u, 4u, QUAD_K)) {
                        let a = (c * TK + tk) * KW + kx;
                        if QUAD_K {
                            dw[(row + kx) / 4u] = vec4(acc[a][e], acc[a + 1u][e], acc[a + 2u][e], acc[a + 3u][e]);
                        } else {
                            dw[(row + kx) / 4u][(row + kx) % 4u] = acc[a][e];
                        }
                    }
                }
            }
        }
    }
}

// Adds what the window meets in the gradients at (n,oy,ox) and the TX - 1 pixels after it to the accumulators of the channels
// co0 + 4*first up to co0 + 4*end. It is called twice because the driver unrolls a loop only up to some 800 instructions.
fn multiply(
    acc: ptr<function, array<vec4<f32>, ACCUMULATORS>>,
    window: ptr<function, array<f32, WINDOW>>,
    n: u32,
    oy: u32,
    ox: u32,
    co0: u32,
    first: u32,
    end: u32,
) {
    for (var c = first; c < end; c++) {
        let pixel = ((n * CO + co0 + c * 4u) * OH + oy) * OW + ox;
        var d: array<vec4<f32>, TX>; // the gradients of a pixel in four channels
        for (var tx = 0u; tx < TX; tx += select(1u, 4u, QUAD_G)) {
            let i = pixel + tx;
            let inside = OW % TX == 0u || ox + tx < OW; // past the row's end a gradient counts as zero
            if QUAD_G {
                let t = transpose(mat4x4(g[i / 4u], g[(i + NEXT) / 4u], g[(i + 2u * NEXT) / 4u], g[(i + 3u * NEXT) / 4u]));
                d[tx] = select(vec4(0.0), t[0], inside);
                d[tx + 1u] = select(vec4(0.0), t[1], inside);
                d[tx + 2u] = select(vec4(0.0), t[2], inside);
                d[tx + 3u] = select(vec4(0.0), t[3], inside);
            } else {
                for (var e = 0u; e < 4u; e++) {
                    d[tx][e] = select(0.0, g[(i + e * NEXT) / 4u][(i + e * NEXT) % 4u], inside);
                }
            }
        }
        for (var tx = 0u; tx < TX; tx++) {
            for (var tk = 0u; tk < TK; tk++) {
                for (var kx = 0u; kx < KW; kx++) {
                    let a = (c * TK + tk) * KW + kx;
                    let v = vec4((*window)[tk * QUADS * 4u + LEAD + tx * SX + kx]);
                    (*acc)[a] = fma(d[tx], v, (*acc)[a]);
                }
            }
        }
    }
}
