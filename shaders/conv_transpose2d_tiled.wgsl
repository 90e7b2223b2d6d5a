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
const WHOLE = JH * JW % 4u == 0u; // four terms are taps of one channel
const FOURS = max(1u, JH * JW / 4u);
const EVEN = DEPTH % TERMS == 0u; // all terms of a step are there

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
    let pixel = pixel0 + lane % COLUMNS; // whose inputs the invocation loads
    let image = pixel / (QW * QH) * CI;
    let iy0 = pixel / QW % QH + (ry + PY) / SY; // less a tap before the input it wraps round and fails `< IH`
    let ix0 = pixel % QW + (rx + PX) / SX;
    let column0 = column_load(lane);

    var acc: array<vec4<f32>, 4>; // [pixel], one component a channel
    for (var term0 = 0u; term0 < DEPTH; term0 += TERMS) {
        var loaded_rows: array<vec4<f32>, ROW_LOADS>;
        for (var k = 0u; k < ROW_LOADS; k++) {
            let co = co0 + row_load(lane, k).y;
            let fours = (term0 + row_load(lane, k).x) / 4u;
            for (var q = 0u; q < 4u; q++) {
                let term = select(fours * 4u, fours % FOURS * 4u, WHOLE) + q;
                let ci = select(term / (JH * JW), fours / FOURS, WHOLE);
                let ky = (ry + PY) % SY + term / JW % JH * SY;
                let kx = (rx + PX) % SX + term % JW * SX;
                if (EVEN || ci < CI) && co < CO && (KH % SY == 0u || ky < KH) && (KW % SX == 0u || kx < KW) {
                    loaded_rows[k][q] = w[((ci * CO + co) * KH + ky) * KW + kx];
                }
            }
        }
        var loaded_columns: array<f32, COLUMN_LOADS>;
        for (var k = 0u; k < COLUMN_LOADS; k++) {
            let term = term0 + column0 + k * NEXT_COLUMN;
            let ci = term / (JH * JW);
            let iy = iy0 - term / JW % JH;
            let ix = ix0 - term % JW;
            if (EVEN || ci < CI) && image < N * CI && iy < IH && ix < IW { loaded_columns[k] = x[((image + ci) * IH + iy) * IW + ix]; }
        }
        stage(lane, &loaded_rows, &loaded_columns);
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
