// The matrix product of the tiled kernels, in workgroup memory: rows x columns, summed over terms. A workgroup of WX x WY
// invocations owns 4*WY rows x 4*WX columns; an invocation owns 4x4 of them, its columns WX apart, so that neighbouring
// lanes store to neighbouring addresses. Per step the importing kernel stages TERMS terms of both factors.

const TERMS = 16u;
const ROWS = 4u * WY;
const COLUMNS = 4u * WX;
const SIZE = WX * WY;

var<workgroup> rows: array<array<f32, ROWS>, TERMS>;
var<workgroup> columns: array<array<f32, COLUMNS>, TERMS>;

// Adds the products of what is staged to an invocation's sums: a vector for each of its columns, one component a row.
fn add_products(local: vec3<u32>, sums: ptr<function, array<vec4<f32>, 4>>) {
    workgroupBarrier();
    for (var t = 0u; t < TERMS; t++) {
        let r = local.y * 4u;
        let k = vec4(rows[t][r], rows[t][r + 1u], rows[t][r + 2u], rows[t][r + 3u]);
        for (var c = 0u; c < 4u; c++) {
            (*sums)[c] = fma(k, vec4(columns[t][local.x + c * WX]), (*sums)[c]);
        }
    }
    workgroupBarrier();
}
