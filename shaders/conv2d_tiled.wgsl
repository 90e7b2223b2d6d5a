//#import activation
//#import convolution
//#import tile
// conv2d as an implicit matrix product in workgroup memory, for GPUs: channels x pixels, summed over the terms (ci,ky,kx).
// Pixels are (n,oy,ox) flattened. Staged are weights and the gathered input.
// Prelude: shape constants, WX, WY, WZ, TERMS.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const DEPTH = CI * KH * KW;
const EVEN = DEPTH % TERMS == 0u; // all terms of a step are there

@compute @workgroup_size(WX, WY, WZ)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pixel0 = (group.z * groups.x + group.x) * COLUMNS;
    let co0 = group.y * ROWS;
    let pixel = pixel0 + lane % COLUMNS; // whose inputs the invocation loads
    let image = pixel / (OW * OH) * CI;
    let iy0 = pixel / OW % OH * SY - PY; // before the input it wraps round and fails `< IH`
    let ix0 = pixel % OW * SX - PX;
    let column0 = column_load(lane);

    var acc: array<vec4<f32>, 4>; // [pixel], one component a channel
    for (var term0 = 0u; term0 < DEPTH; term0 += TERMS) {
        var loaded_rows: array<vec4<f32>, ROW_LOADS>;
        for (var k = 0u; k < ROW_LOADS; k++) {
            let t = row_load(lane, k).x;
            let row = row_load(lane, k).y;
            let at = (co0 + row) * DEPTH + term0 + t;
            var v = vec4<f32>();
            if (EVEN || term0 + t < DEPTH) && co0 + row < CO {
                if DEPTH % 4u == 0u {
                    v = w[at / 4u];
                } else {
                    for (var q = 0u; q < 4u; q++) {
                        if term0 + t + q < DEPTH { v[q] = w[(at + q) / 4u][(at + q) % 4u]; }
                    }
                }
            }
            loaded_rows[k] = v;
        }
        var loaded_columns: array<f32, COLUMN_LOADS>;
        for (var k = 0u; k < COLUMN_LOADS; k++) {
            let term = term0 + column0 + k * NEXT_COLUMN;
            let ci = term / (KH * KW);
            let iy = iy0 + term / KW % KH;
            let ix = ix0 + term % KW;
            if (EVEN || term < DEPTH) && image < N * CI && iy < IH && ix < IW { loaded_columns[k] = x[((image + ci) * IH + iy) * IW + ix]; }
        }
        stage(lane, &loaded_rows, &loaded_columns);
        add_products(local, &acc);
    }
    add_slices(local, &acc);

    for (var c = 0u; c < 4u; c++) {
        let co = co0 + local.y * 4u + c;
        for (var p = 0u; p < 4u; p++) {
            let pixel = pixel0 + local.x + p * WX;
            let n = pixel / (OW * OH);
            if n < N && co < CO && local.z == 0u {
                let out = (n * CO + co) * OH * OW + pixel % (OH * OW);
                var v = acc[p][c];
                y[out] = finish(v, co, out);
            }
        }
    }
}
