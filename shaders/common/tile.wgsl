// The matrix product of the tiled kernels, in workgroup memory: rows x columns, summed over terms. A workgroup of WX x WY
// invocations owns 4*WY rows x 4*WX columns; an invocation owns 4x4 of them, its columns WX apart, so that neighbouring
// lanes store to neighbouring addresses. Per step the importing kernel stages TERMS terms of both factors.

const TERMS = 16u;
const ROWS = 4u * WY;
const COLUMNS = 4u * WX;
const SIZE = WX * WY;

// Rows by fours, which an invocation loads at once. One more vector than there are keeps lanes that stage neighbouring
// terms of a row off each other's banks.
var<workgroup> rows: array<array<vec4<f32>, WY + 1u>, TERMS>;
var<workgroup> columns: array<array<f32, COLUMNS>, TERMS>;

// Stages four terms of a row.
fn stage_row(term: u32, row: u32, values: vec4<f32>) {
    for (var t = 0u; t < 4u; t++) {
        rows[term + t][row / 4u][row % 4u] = values[t];
    }
}

// Adds the products of what is staged to an invocation's sums: a vector for each of its columns, one component a row.
fn add_products(local: vec3<u32>, sums: ptr<function, array<vec4<f32>, 4>>) {
    workgroupBarrier();
    for (var t = 0u; t < TERMS; t++) {
        let k = rows[t][local.y];
        for (var c = 0u; c < 4u; c++) {
            (*sums)[c] = fma(k, vec4(columns[t][local.x + c * WX]), (*sums)[c]);
        }
    }
    workgroupBarrier();
}
