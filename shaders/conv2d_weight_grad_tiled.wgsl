//#import tile
// conv2d weight gradient as an implicit matrix product in workgroup memory, for GPUs: output channels x taps, (ci,ky,kx)
// flattened, summed over the pixels (n,oy,ox). Staged are the gradient and the gathered input. Part s of SPLITS takes the
// pixels from s*PART on.
// Prelude: shape constants, SPLITS, WX, WY, WZ, TERMS.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

const WIDTH = CI * KH * KW;
const DEPTH = N * OH * OW;
const PART = (DEPTH + SPLITS * TERMS - 1u) / (SPLITS * TERMS) * TERMS; // a whole number of steps

// Where the gradient at a pixel of a channel lies.
fn gradient(pixel: u32, co: u32) -> u32 {
    return (pixel / (OW * OH) * CO + co) * OH * OW + pixel % (OH * OW);
}

@compute @workgroup_size(WX, WY, WZ)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tap0 = group.x * COLUMNS;
    let co0 = group.y * ROWS;
    let end = min((group.z + 1u) * PART, DEPTH);
    let tap = tap0 + lane % COLUMNS; // whose inputs the invocation loads
    let ci = tap / (KH * KW);
    let iy0 = tap / KW % KH - PY; // before the input it wraps round and fails `< IH`
    let ix0 = tap % KW - PX;
    let column0 = column_load(lane);

    var acc: array<vec4<f32>, 4>; // [tap], one component a channel
    for (var pixel0 = group.z * PART; pixel0 < end; pixel0 += TERMS) {
        var loaded_rows: array<vec4<f32>, ROW_LOADS>;
        for (var k = 0u; k < ROW_LOADS; k++) {
            let t = row_load(lane, k).x;
            let row = row_load(lane, k).y;
            var v = vec4<f32>();
            if co0 + row < CO {
                if OH * OW % 4u == 0u {
                    let at = gradient(pixel0 + t, co0 + row);
                    if pixel0 + t < end { v = g[at / 4u]; }
                } else {
                    for (var q = 0u; q < 4u; q++) {
                        let at = gradient(pixel0 + t + q, co0 + row);
                        if pixel0 + t + q < end { v[q] = g[at / 4u][at % 4u]; }
                    }
                }
            }
            loaded_rows[k] = v;
        }
        var loaded_columns: array<f32, COLUMN_LOADS>;
        for (var k = 0u; k < COLUMN_LOADS; k++) {
            let pixel = pixel0 + column0 + k * NEXT_COLUMN;
            let n = pixel / (OW * OH);
            let iy = pixel / OW % OH * SY + iy0;
            let ix = pixel % OW * SX + ix0;
            if pixel < end && tap < WIDTH && iy < IH && ix < IW { loaded_columns[k] = x[((n * CI + ci) * IH + iy) * IW + ix]; }
        }
        stage(lane, &loaded_rows, &loaded_columns);
        add_products(local, &acc);
    }
    add_slices(local, &acc);

    for (var c = 0u; c < 4u; c++) {
        let co = co0 + local.y * 4u + c;
        for (var t = 0u; t < 4u; t++) {
            let tap = tap0 + local.x + t * WX;
            if co < CO && tap < WIDTH && local.z == 0u {
                dw[(group.z * CO + co) * WIDTH + tap] = acc[t][c];
            }
        }
    }
}
