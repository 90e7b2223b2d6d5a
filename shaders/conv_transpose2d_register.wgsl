//#import activation
//#import convolution
//#import columns
// conv_transpose2d in registers, for adapters whose "GPU" is a CPU: no workgroup memory, no barrier.
// An output row oy = SY*q + ry meets only the kernel rows ky = (ry+PY) mod SY, + SY, ...: a workgroup keeps to one class ry,
// so a weight's index is uniform over it and its load a broadcast. One invocation owns TY rows of the class x SX*TX columns in
// TC channels of one image. Its columns ox = ox0 + SX*t + s take every class s in turn, and the matching kx = (s+PX) mod SX,
// + SX, ... are known when the shader is compiled: no dead taps, no division in the loop.
// Prelude: shape constants, LANES, TY, TX, TC and CHANNEL_SPAN (output
// channels that share one bias: 1, or more where the kernel's taps have been folded into the channels).
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const REACH = (KW - 1u) / SX; // input columns that the kernel reaches to the left
const COLUMNS = REACH + TX + (SX - 1u + PX) / SX; // input columns under a row of the block
const WIDTH = SX * TX; // output columns of an invocation
const BLOCKS_X = (OW + WIDTH - 1u) / WIDTH;
const QH = (OH + SY - 1u) / SY; // rows of a class in an image
const BLOCKS_C = (CO + LANES_C * TC - 1u) / (LANES_C * TC);
const QUAD_X = IW % 4u == 0u && (TX % 4u == 0u || BLOCKS_X == 1u); // x can be loaded by whole vec4s
const QUAD_W = KW % 4u == 0u; // w can be loaded by whole vec4s
const QUAD_Y = OW % 4u == 0u && WIDTH % 4u == 0u; // y can be stored by whole vec4s
const STEP = select(1u, 4u, QUAD_Y);
const LEAD = select(0u, (4u - REACH % 4u) % 4u, QUAD_X); // columns loaded before the first one needed
const QUADS = (LEAD + COLUMNS + 3u) / 4u;
const QUAD_C = NEXT == 1u && CO % 4u == 0u; // ... and they hold four channels each
const WINDOW = TY * QUADS * 4u;
const ACCUMULATORS = TC / 4u * TY * WIDTH;
const HALF = (TC / 4u + 1u) / 2u;
const NEXT = KH * KW; // from a weight to its neighbour in the next output channel

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = (group.z * groups.x + group.x) * (LANES / LANES_C) + lane / LANES_C;
    let row0 = block / BLOCKS_X * TY;
    let qx0 = block % BLOCKS_X * TX;
    let ox0 = qx0 * SX;
    let co0 = (group.y % BLOCKS_C * LANES_C + lane % LANES_C) * TC;
    let ry = group.y / BLOCKS_C;

    var acc: array<vec4<f32>, ACCUMULATORS>; // four channels each
    for (var ci = 0u; ci < CI; ci++) {
        for (var ky = (ry + PY) % SY; ky < KH; ky += SY) {
            var window: array<f32, WINDOW>;
            for (var ty = 0u; ty < TY; ty++) {
                let n = (row0 + ty) / QH;
                let iy = (row0 + ty) % QH + (ry + PY) / SY - ky / SY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                let ix0 = qx0 - REACH - LEAD;
                for (var q = 0u; q < QUADS; q++) {
                    let at = (ty * QUADS + q) * 4u;
                    let ix = ix0 + q * 4u;
                    let v = four_columns(row, ix, iy < IH);
                    window[at] = v.x;
                    window[at + 1u] = v.y;
                    window[at + 2u] = v.z;
                    window[at + 3u] = v.w;
                }
            }
            multiply(&acc, &window, ci, ky, co0, 0u, HALF);
            if HALF < TC / 4u { multiply(&acc, &window, ci, ky, co0, HALF, TC / 4u); }
        }
    }

    for (var e = 0u; e < 4u; e++) {
        for (var c = 0u; c < TC / 4u; c++) {
            let co = co0 + c * 4u + e;
            for (var ty = 0u; ty < TY; ty++) {
                let n = (row0 + ty) / QH;
                let oy = (row0 + ty) % QH * SY + ry;
                let row = ((n * CO + co) * OH + oy) * OW + ox0;
                let inside = n < N && co < CO && oy < OH;
                for (var tx = 0u; tx < WIDTH; tx += STEP) {
                    if inside && ox0 + tx < OW {
                        let a = (c * TY + ty) * WIDTH + tx;
                        if QUAD_Y {
                            y[(row + tx) / 4u] = vec4(acc[a][e], acc[a + 1u][e], acc[a + 2u][e], acc[a + 3u][e]);
                        } else {
                            y[(row + tx) / 4u][(row + tx) % 4u] = acc[a][e];
                        }
                    }
                }
            }
        }
    }
    // Bias, activation and gate come in a second loop, which need not be unrolled: the loops over `acc` must stay small enough
    // for the driver to unroll them, lest the accumulators leave the registers.
    for (var c = 0u; c < TC; c++) {
        let co = co0 + c;
        for (var i = 0u; i < TY * WIDTH; i += STEP) {
            let ty = i / WIDTH;
            let n = (row0 + ty) / QH;
            let oy = (row0 + ty) % QH * SY + ry;
            let ox = ox0 + i % WIDTH;
            if n < N && co < CO && oy < OH && ox < OW {
                let out = ((n * CO + co) * OH + oy) * OW + ox;
                if QUAD_Y {
                    let v = y[out / 4u];
                    y[out / 4u] = vec4(finish(v.x, co / CHANNEL_SPAN, out), finish(v.y, co / CHANNEL_SPAN, out + 1u), finish(v.z, co / CHANNEL_SPAN, out + 2u), finish(v.w, co / CHANNEL_SPAN, out + 3u));
                } else {
                    y[out / 4u][out % 4u] = finish(y[out / 4u][out % 4u], co / CHANNEL_SPAN, out);
                }
            }
        }
    }
}

// Adds what the window meets in kernel row (ci,ky) to the accumulators of the channels co0 + 4*first up to co0 + 4*end. It is called
// twice because the driver unrolls a loop only up to some 800 instructions.
fn multiply(
    acc: ptr<function, array<vec4<f32>, ACCUMULATORS>>,
    window: ptr<function, array<f32, WINDOW>>,
    ci: u32,
    ky: u32,
    co0: u32,
    first: u32,
    end: u32,
) {
    for (var c = first; c < end; c++) {
        let tap = ((ci * CO + co0 + c * 4u) * KH + ky) * KW;
        var taps: array<vec4<f32>, KW>; // four channels each
        for (var kx = 0u; kx < KW; kx += select(1u, 4u, QUAD_W)) {
            let i = tap + kx;
            if QUAD_C {
                taps[kx] = w[i / 4u];
            } else if QUAD_W {
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
            let a = c * TY * WIDTH + s;
            let i = LEAD + REACH + (s + PX) / SX - kx / SX;
            for (var ty = 0u; ty < TY; ty++) {
                for (var tx = 0u; tx < TX; tx++) {
                    let v = vec4((*window)[i + ty * QUADS * 4u + tx]);
                    (*acc)[a + ty * WIDTH + tx * SX] = fma(taps[kx], v, (*acc)[a + ty * WIDTH + tx * SX]);
                }
            }
        }
    }
}
