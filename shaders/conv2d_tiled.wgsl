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

@compute @workgroup_size(WX, WY, WZ)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pixel0 = (group.z * groups.x + group.x) * COLUMNS;
    let co0 = group.y * ROWS;

    var acc: array<vec4<f32>, 4>; // [pixel], one component a channel
    for (var term0 = 0u; term0 < DEPTH; term0 += TERMS) {
        for (var i = lane; i < TERMS / 4u * ROWS; i += SIZE) {
            let t = staged(i).x;
            let row = staged(i).y;
            let at = (co0 + row) * DEPTH + term0 + t;
            var v = vec4<f32>();
            if term0 + t < DEPTH && co0 + row < CO {
                if DEPTH % 4u == 0u {
                    v = w[at / 4u];
                } else {
                    for (var k = 0u; k < 4u; k++) {
                        if term0 + t + k < DEPTH { v[k] = w[(at + k) / 4u][(at + k) % 4u]; }
                    }
                }
            }
            stage_row(t, row, v);
        }
        for (var i = lane; i < TERMS * COLUMNS; i += SIZE) {
            let term = term0 + i / COLUMNS;
            let pixel = pixel0 + i % COLUMNS;
            let n = pixel / (OW * OH);
            let ci = term / (KH * KW);
            let iy = pixel / OW % OH * SY + term / KW % KH - PY; // before the input it wraps round and fails `< IH`
            let ix = pixel % OW * SX + term % KW - PX;
            var v = 0.0;
            if term < DEPTH && n < N && iy < IH && ix < IW { v = x[((n * CI + ci) * IH + iy) * IW + ix]; }
            columns[i] = v;
        }
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
