// conv2d in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// One invocation owns TY rows x TX columns of outputs in TC channels of one image; the lanes of a workgroup own
// neighbouring blocks of pixels, (n, block row, block column) flattened, in the same channels. So a weight's index is
// uniform over the workgroup and its load a broadcast, shared by TY*TX outputs; an input's index differs between lanes,
// which costs a loop over them there, shared by TC channels and up to KW taps.
// Prelude: shape constants, HAS_BIAS, GATED, activate, activation_slope, LANES, TY, TX, TC and CHANNEL_SPAN (output
// channels that share one bias: 1, or more where the kernel's taps have been folded into the channels).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> gate: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const COLUMNS = (TX - 1u) * SX + KW; // input columns under a row of the block
const BLOCKS_X = (OW + TX - 1u) / TX;
const BLOCKS_Y = (OH + TY - 1u) / TY;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = (group.z * groups.x + group.x) * LANES + lane;
    let n = block / (BLOCKS_X * BLOCKS_Y);
    let oy0 = block / BLOCKS_X % BLOCKS_Y * TY;
    let ox0 = block % BLOCKS_X * TX;
    let co0 = group.y * TC;

    var acc: array<f32, TC * TY * TX>;
    for (var ci = 0u; ci < CI; ci++) {
        for (var ky = 0u; ky < KH; ky++) {
            var window: array<f32, TY * COLUMNS>;
            for (var ty = 0u; ty < TY; ty++) {
                let iy = (oy0 + ty) * SY + ky - PY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                for (var i = 0u; i < COLUMNS; i++) {
                    let ix = ox0 * SX + i - PX;
                    window[ty * COLUMNS + i] = select(0.0, x[row + ix], iy < IH && ix < IW);
                }
            }
            for (var c = 0u; c < TC; c++) {
                for (var kx = 0u; kx < KW; kx++) {
                    let k = w[(((co0 + c) * CI + ci) * KH + ky) * KW + kx];
                    for (var ty = 0u; ty < TY; ty++) {
                        for (var tx = 0u; tx < TX; tx++) {
                            let a = (c * TY + ty) * TX + tx;
                            acc[a] = fma(k, window[ty * COLUMNS + tx * SX + kx], acc[a]);
                        }
                    }
                }
            }
        }
    }

    for (var c = 0u; c < TC; c++) {
        let co = co0 + c;
        for (var ty = 0u; ty < TY; ty++) {
            for (var tx = 0u; tx < TX; tx++) {
                let oy = oy0 + ty;
                let ox = ox0 + tx;
                if n < N && co < CO && oy < OH && ox < OW {
                    let out = ((n * CO + co) * OH + oy) * OW + ox;
                    var v = acc[(c * TY + ty) * TX + tx];
                    if HAS_BIAS { v += bias[co / CHANNEL_SPAN]; }
                    v = activate(v);
                    if GATED { v *= activation_slope(gate[out]); }
                    y[out] = v;
                }
            }
        }
    }
}
