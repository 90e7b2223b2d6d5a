//#import activation
//#import convolution
//#import columns
//#import kernel_row
//#import slices
// conv_transpose2d in registers: for adapters whose "GPU" is a CPU, and for few output channels; slices as in conv2d_register.
// An output row oy = SY*q + ry meets only the kernel rows ky = (ry+PY) mod SY, + SY, ...: a workgroup keeps to one class ry. One
// invocation owns TY rows of the class x SX*TX columns in TC channels of one image. Its columns ox = ox0 + SX*t + s take every
// class s in turn, and the matching kx = (s+PX) mod SX, + SX, ... are known when the shader is compiled: no dead taps, no division
// in the loop.
// Prelude: shape constants, LANES, LANES_C, SLICES, TY, TX, TC. CHANNEL_SPAN output channels share a bias: more than 1 where the
// kernel's taps have been folded into the channels. Elements of y are vec4s where OW and WIDTH divide into them.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

const REACH = (KW - 1u) / SX; // input columns that the kernel reaches to the left
const COLUMNS = REACH + TX + (SX - 1u + PX) / SX; // input columns under a row of the block
const WIDTH = SX * TX; // output columns of an invocation
const BLOCKS_X = (OW + WIDTH - 1u) / WIDTH;
const QH = (OH + SY - 1u) / SY; // rows of a class in an image
const BLOCKS_C = (CO + LANES_C * TC - 1u) / (LANES_C * TC);
const VEC4_X = IW % 4u == 0u && (TX % 4u == 0u || BLOCKS_X == 1u); // x can be loaded by whole vec4s
const BEFORE = REACH;
const WINDOW_ROWS = TY;

@compute @workgroup_size(LANES, SLICES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let slice = select(0u, local.y, SLICES > 1u); // drivers shall know where there is only one
    let block = (group.z * groups.x + group.x) * (LANES / LANES_C) + lane / LANES_C;
    let row0 = block / BLOCKS_X * TY;
    let qx0 = block % BLOCKS_X * TX;
    let ox0 = qx0 * SX;
    let co0 = (group.y % BLOCKS_C * LANES_C + lane % LANES_C) * TC;
    let ry = group.y / BLOCKS_C;

    var acc: array<array<array<array<f32, TX>, TY>, SX>, TC>;
    for (var ci = slice; ci < CI; ci += SLICES) {
        for (var ky = (ry + PY) % SY; ky < KH; ky += SY) {
            var window: array<f32, WINDOW>;
            for (var ty = 0u; ty < TY; ty++) {
                let n = (row0 + ty) / QH;
                let iy = (row0 + ty) % QH + (ry + PY) / SY - ky / SY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                load_window_row(&window, ty, row, qx0 - REACH, iy < IH);
            }
            for (var c = 0u; c < TC; c++) {
                let first_tap = ((ci * CO + co0 + c) * KH + ky) * KW;
                var taps = kernel_row(first_tap);
                for (var kx = 0u; kx < KW; kx++) {
                    let s = (kx + PX * (SX - 1u)) % SX; // the class that this tap meets
                    let i = LEAD + REACH + (s + PX) / SX - kx / SX;
                    for (var ty = 0u; ty < TY; ty++) {
                        for (var tx = 0u; tx < TX; tx++) {
                            acc[c][s][ty][tx] = fma(taps[kx], window[i + ty * VEC4S * 4u + tx], acc[c][s][ty][tx]);
                        }
                    }
                }
            }
        }
    }

    if SLICES > 1u {
        for (var c = 0u; c < TC; c++) {
            for (var s = 0u; s < SX; s++) {
                for (var ty = 0u; ty < TY; ty++) {
                    for (var tx = 0u; tx < TX; tx++) {
                        acc[c][s][ty][tx] = over_slices(acc[c][s][ty][tx], local);
                    }
                }
            }
        }
    }

    for (var c = 0u; c < TC; c++) {
        let co = co0 + c;
        for (var ty = 0u; ty < TY; ty++) {
            let n = (row0 + ty) / QH;
            let oy = (row0 + ty) % QH * SY + ry;
            let row = ((n * CO + co) * OH + oy) * OW + ox0;
            let inside = n < N && co < CO && oy < OH && slice == 0u;
            for (var tx = 0u; tx < WIDTH; tx += PER_ELEMENT) {
                if inside && ox0 + tx < OW {
                    let b = min(tx + 1u, WIDTH - 1u);
                    let d = min(tx + 2u, WIDTH - 1u);
                    let e = min(tx + 3u, WIDTH - 1u);
                    let sums = element(acc[c][tx % SX][ty][tx / SX], acc[c][b % SX][ty][b / SX], acc[c][d % SX][ty][d / SX], acc[c][e % SX][ty][e / SX]);
                    y[(row + tx) / PER_ELEMENT] = finish(sums, co / CHANNEL_SPAN, (row + tx) / PER_ELEMENT);
                }
            }
        }
    }
}
