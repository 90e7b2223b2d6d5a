// conv2d weight gradient in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation owns TK rows of the kernel, all KW columns, between one input channel and TC output channels; the lanes of a
// workgroup own neighbouring (ci, block of kernel rows) with the same output channels. So the index of a gradient g is uniform over the
// workgroup and its load a broadcast, shared by TK*KW weights; an input's index differs between lanes, which costs a loop
// over them there, shared by TC channels and up to KW taps. The sum runs over output rows (n,oy), TX columns at a time; part s
// of SPLITS takes the rows from s*PART on.
// Prelude: shape constants, SPLITS, LANES, TK, TC, TX.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

const COLUMNS = (TX - 1u) * SX + KW; // input columns under TX outputs
const BLOCKS_K = (KH + TK - 1u) / TK;
const PART = (N * OH + SPLITS - 1u) / SPLITS;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x * LANES + lane;
    let ci = block / BLOCKS_K;
    let ky0 = block % BLOCKS_K * TK;
    let co0 = group.y * TC;
    let part = group.z;

    var acc: array<f32, TC * TK * KW>;
    for (var row = part * PART; row < min((part + 1u) * PART, N * OH); row++) {
        let n = row / OH;
        let oy = row % OH;
        for (var ox = 0u; ox < OW; ox += TX) {
            var window: array<f32, TK * COLUMNS>;
            for (var tk = 0u; tk < TK; tk++) {
                let iy = oy * SY + ky0 + tk - PY; // above the input it wraps round and fails `< IH`
                let base = ((n * CI + ci) * IH + iy) * IW;
                for (var i = 0u; i < COLUMNS; i++) {
                    let ix = ox * SX + i - PX;
                    window[tk * COLUMNS + i] = select(0.0, x[base + ix], iy < IH && ix < IW);
                }
            }
            for (var c = 0u; c < TC; c++) {
                for (var tx = 0u; tx < TX; tx++) {
                    let inside = OW % TX == 0u || ox + tx < OW;
                    let d = select(0.0, g[((n * CO + co0 + c) * OH + oy) * OW + ox + tx], inside);
                    for (var tk = 0u; tk < TK; tk++) {
                        for (var kx = 0u; kx < KW; kx++) {
                            let a = (c * TK + tk) * KW + kx;
                            acc[a] = fma(d, window[tk * COLUMNS + tx * SX + kx], acc[a]);
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
                    dw[(((part * CO + co) * CI + ci) * KH + ky) * KW + kx] = acc[(c * TK + tk) * KW + kx];
                }
            }
        }
    }
}
