//#import activation
//#import convolution
// conv_transpose2d in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// An output row oy = SY*q + ry meets only the kernel rows ky = (ry+PY) mod SY, + SY, ...: a workgroup keeps to one class ry,
// so a weight's index is uniform over it and its load a broadcast. One invocation owns TY rows of the class x SX*TX columns in
// TC channels of one image. Its columns ox = ox0 + SX*t + s take every class s in turn, and the matching kx = (s+PX) mod SX,
// + SX, ... are known when the shader is compiled: no dead taps, no division in the loop.
// Prelude: shape constants, HAS_BIAS, GATED, activate, activation_slope, LANES, TY, TX, TC and CHANNEL_SPAN (output
// channels that share one bias: 1, or more where the kernel's taps have been folded into the channels).

const REACH = (KW - 1u) / SX; // input columns that the kernel reaches to the left
const COLUMNS = REACH + TX + (SX - 1u + PX) / SX; // input columns under a row of the block
const BLOCKS_X = (OW + SX * TX - 1u) / (SX * TX);
const BLOCKS_Y = (OH + SY * TY - 1u) / (SY * TY);
const BLOCKS_C = (CO + TC - 1u) / TC;
const QUAD_X = IW % 4u == 0u && (TX % 4u == 0u || BLOCKS_X == 1u); // x can be loaded by whole vec4s
const QUAD_W = KW % 4u == 0u; // w can be loaded by whole vec4s
const LEAD = select(0u, (4u - REACH % 4u) % 4u, QUAD_X); // columns loaded before the first one needed
const QUADS = (LEAD + COLUMNS + 3u) / 4u;
const NEXT = KH * KW; // from a weight to its neighbour in the next output channel

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = (group.z * groups.x + group.x) * LANES + lane;
    let n = block / (BLOCKS_X * BLOCKS_Y);
    let q0 = block / BLOCKS_X % BLOCKS_Y * TY;
    let qx0 = block % BLOCKS_X * TX;
    let co0 = group.y % BLOCKS_C * TC;
    let ry = group.y / BLOCKS_C;

    var acc: array<vec4<f32>, TC / 4u * TY * SX * TX>; // four channels each
    for (var ci = 0u; ci < CI; ci++) {
        for (var ky = (ry + PY) % SY; ky < KH; ky += SY) {
            var window: array<f32, TY * QUADS * 4u>;
            for (var ty = 0u; ty < TY; ty++) {
                let iy = q0 + ty + (ry + PY) / SY - ky / SY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                let ix0 = qx0 - REACH - LEAD;
                for (var q = 0u; q < QUADS; q++) {
                    let at = (ty * QUADS + q) * 4u;
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
                let tap = ((ci * CO + co0 + c * 4u) * KH + ky) * KW;
                var taps: array<vec4<f32>, KW>; // four channels each
                for (var kx = 0u; kx < KW; kx += select(1u, 4u, QUAD_W)) {
                    let i = tap + kx;
                    if QUAD_W {
                        let t = transpose(mat4x4(w[i / 4u], w[(i + NEXT) / 4u], w[(i + 2u * NEXT) / 4u], w[(i + 3u * NEXT) / 4u]));
                        taps[kx] = t[0];
                        taps[kx + 1u] = t[1];
                        taps[kx + 2u] = t[2];
                        taps[kx + 3u] = t[3];
                    } else {
                        for (var e = 0u; e < 4u; e++) {
                            taps[kx][e] = w[(i + e * NEXT) / 4u][(i + e * NEXT) % 4u];
                        }
                    }
                }
                for (var kx = 0u; kx < KW; kx++) {
                    let s = (kx + PX * (SX - 1u)) % SX; // the class that this tap meets
                    for (var ty = 0u; ty < TY; ty++) {
                        for (var tx = 0u; tx < TX; tx++) {
                            let a = ((c * TY + ty) * SX + s) * TX + tx;
                            let i = ty * QUADS * 4u + LEAD + tx + REACH + (s + PX) / SX - kx / SX;
                            acc[a] = fma(taps[kx], vec4(window[i]), acc[a]);
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
                    let ox = (qx0 + tx) * SX + s;
                    if n < N && co < CO && oy < OH && ox < OW {
                        let out = ((n * CO + co) * OH + oy) * OW + ox;
                        var v = acc[((c / 4u * TY + ty) * SX + s) * TX + tx][c % 4u];
                        store(out, co / CHANNEL_SPAN, v);
                    }
                }
            }
        }
    }
}
