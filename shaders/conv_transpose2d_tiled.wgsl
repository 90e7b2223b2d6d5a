//#import activation
//#import convolution
//#import tile
// conv_transpose2d as implicit matrix products in workgroup memory, for GPUs: channels x pixels, summed over terms (ci,j,i).
// Output pixels fall into SY*SX classes (ry,rx) = (oy mod SY, ox mod SX); a class meets only the taps
// ky = (ry+PY) mod SY + SY*j, kx = (rx+PX) mod SX + SX*i, so each class is a product of its own, without dead taps.
// Pixels of a class are (n, oy/SY, ox/SX) flattened. Staged are weights and the gathered input.
// Prelude: shape constants, WX, WY, WZ, TERMS.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const BLOCKS_C = (CO + ROWS - 1u) / ROWS;
const QH = (OH + SY - 1u) / SY; // rows and columns of a class; the last may lie outside the output
const QW = (OW + SX - 1u) / SX;
const JH = (KH + SY - 1u) / SY; // taps of a class; the last may lie outside the kernel
const JW = (KW + SX - 1u) / SX;
const DEPTH = CI * JH * JW;

@compute @workgroup_size(WX, WY, WZ)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pixel0 = (group.z * groups.x + group.x) * COLUMNS;
    let co0 = group.y % BLOCKS_C * ROWS;
    let ry = group.y / BLOCKS_C / SX;
    let rx = group.y / BLOCKS_C % SX;

    var acc: array<vec4<f32>, 4>; // [pixel], one component a channel
    for (var term0 = 0u; term0 < DEPTH; term0 += TERMS) {
        for (var i = lane; i < TERMS * ROWS; i += SIZE) {
            let term = term0 + i / ROWS;
            let co = co0 + i % ROWS;
            let ci = term / (JH * JW);
            let ky = (ry + PY) % SY + term / JW % JH * SY;
            let kx = (rx + PX) % SX + term % JW * SX;
            var v = 0.0;
            if ci < CI && co < CO && ky < KH && kx < KW { v = w[((ci * CO + co) * KH + ky) * KW + kx]; }
            rows[turned(i / ROWS, i % ROWS / 4u)][i % 4u] = v;
        }
        for (var i = lane; i < TERMS * COLUMNS; i += SIZE) {
            let term = term0 + i / COLUMNS;
            let pixel = pixel0 + i % COLUMNS;
            let n = pixel / (QW * QH);
            let ci = term / (JH * JW);
            let iy = pixel / QW % QH + (ry + PY) / SY - term / JW % JH; // before the input it wraps round and fails `< IH`
            let ix = pixel % QW + (rx + PX) / SX - term % JW;
            var v = 0.0;
            if ci < CI && n < N && iy < IH && ix < IW { v = x[((n * CI + ci) * IH + iy) * IW + ix]; }
            columns[i] = v;
        }
        add_products(local, &acc);
    }
    add_slices(local, &acc);

    for (var c = 0u; c < 4u; c++) {
        let co = co0 + local.y * 4u + c;
        for (var p = 0u; p < 4u; p++) {
            let pixel = pixel0 + local.x + p * WX;
            let n = pixel / (QW * QH);
            let oy = pixel / QW % QH * SY + ry;
            let ox = pixel % QW * SX + rx;
            if n < N && co < CO && oy < OH && ox < OW && local.z == 0u {
                let out = ((n * CO + co) * OH + oy) * OW + ox;
                var v = acc[p][c];
                y[out] = finish(v, co / CHANNEL_SPAN, out);
            }
        }
    }
}
