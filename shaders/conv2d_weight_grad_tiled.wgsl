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

    var acc: array<vec4<f32>, 4>; // [tap], one component a channel
    for (var pixel0 = group.z * PART; pixel0 < end; pixel0 += TERMS) {
        for (var i = lane; i < TERMS / 4u * ROWS; i += SIZE) {
            let t = staged(i).x;
            let row = staged(i).y;
            var v = vec4<f32>();
            if co0 + row < CO {
                if OH * OW % 4u == 0u {
                    let at = gradient(pixel0 + t, co0 + row);
                    if pixel0 + t < end { v = g[at / 4u]; }
                } else {
                    for (var k = 0u; k < 4u; k++) {
                        let at = gradient(pixel0 + t + k, co0 + row);
                        if pixel0 + t + k < end { v[k] = g[at / 4u][at % 4u]; }
                    }
                }
            }
            stage_row(t, row, v);
        }
        for (var i = lane; i < TERMS * COLUMNS; i += SIZE) {
            let pixel = pixel0 + i / COLUMNS;
            let tap = tap0 + i % COLUMNS;
            let n = pixel / (OW * OH);
            let ci = tap / (KH * KW);
            let iy = pixel / OW % OH * SY + tap / KW % KH - PY; // before the input it wraps round and fails `< IH`
            let ix = pixel % OW * SX + tap % KW - PX;
            var v = 0.0;
            if pixel < end && tap < WIDTH && iy < IH && ix < IW { v = x[((n * CI + ci) * IH + iy) * IW + ix]; }
            columns[i] = v;
        }
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
