// conv_transpose2d in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// An output row oy = SY*q + ry meets only the kernel rows ky = (ry+PY) mod SY, + SY, ...: a workgroup keeps to one class ry,
// so a weight's index is uniform over it and its load a broadcast. One invocation owns TY rows of the class x SX*TX columns in
// TC channels of one image. Its columns ox = ox0 + SX*t + s take every class s in turn, and the matching kx = (s+PX) mod SX,
// + SX, ... are known when the shader is compiled: no dead taps, no division in the loop.
// Prelude: shape constants, HAS_BIAS, GATED, activate, activation_slope, LANES, TY, TX, TC and CHANNEL_SPAN (output
// channels that share one bias: 1, or more where the kernel's taps have been folded into the channels).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> gate: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const REACH = (KW - 1u) / SX; // input columns that the kernel reaches to the left
const COLUMNS = REACH + TX + (SX - 1u + PX) / SX; // input columns under a row of the block
const BLOCKS_X = (OW + SX * TX - 1u) / (SX * TX);
const BLOCKS_Y = (OH + SY * TY - 1u) / (SY * TY);
const BLOCKS_C = (CO + TC - 1u) / TC;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = (group.z * groups.x + group.x) * LANES + lane;
    let n = block / (BLOCKS_X * BLOCKS_Y);
    let q0 = block / BLOCKS_X % BLOCKS_Y * TY;
    let ix0 = block % BLOCKS_X * TX;
    let co0 = group.y % BLOCKS_C * TC;
    let ry = group.y / BLOCKS_C;

    var acc: array<f32, TC * TY * SX * TX>;
    for (var ci = 0u; ci < CI; ci++) {
        for (var ky = (ry + PY) % SY; ky < KH; ky += SY) {
            var window: array<f32, TY * COLUMNS>;
            for (var ty = 0u; ty < TY; ty++) {
                let iy = q0 + ty + (ry + PY) / SY - ky / SY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                for (var i = 0u; i < COLUMNS; i++) {
                    let ix = ix0 + i - REACH;
                    window[ty * COLUMNS + i] = select(0.0, x[row + ix], iy < IH && ix < IW);
                }
            }
            for (var c = 0u; c < TC; c++) {
                for (var s = 0u; s < SX; s++) {
                    for (var j = 0u; j <= REACH; j++) {
                        let kx = (s + PX) % SX + j * SX;
                        if kx < KW {
                            let k = w[((ci * CO + co0 + c) * KH + ky) * KW + kx];
                            for (var ty = 0u; ty < TY; ty++) {
                                for (var tx = 0u; tx < TX; tx++) {
                                    let a = ((c * TY + ty) * SX + s) * TX + tx;
                                    let i = tx + REACH + (s + PX) / SX - j;
                                    acc[a] = fma(k, window[ty * COLUMNS + i], acc[a]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    for (var c = 0u; c < TC; c++) {
        let co = co0 + c;
        for (var ty = 0u; ty < TY; ty++) {
            for (var s = 0u; s < SX; s++) {
                for (var tx = 0u; tx < TX; tx++) {
                    let oy = (q0 + ty) * SY + ry;
                    let ox = (ix0 + tx) * SX + s;
                    if n < N && co < CO && oy < OH && ox < OW {
                        let out = ((n * CO + co) * OH + oy) * OW + ox;
                        var v = acc[((c * TY + ty) * SX + s) * TX + tx];
                        if HAS_BIAS { v += bias[co / CHANNEL_SPAN]; }
                        v = activate(v);
                        if GATED { v *= activation_slope(gate[out]); }
                        y[out] = v;
                    }
                }
            }
        }
    }
}
