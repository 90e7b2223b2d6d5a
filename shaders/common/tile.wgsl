// The matrix product of the tiled kernels, in workgroup memory: rows x columns, summed over terms. A workgroup of WX x WY x WZ
// invocations owns 4*WY rows x 4*WX columns; an invocation owns 4x4 of them, its columns WX apart, so that neighbouring
// lanes store to neighbouring addresses. Per step the importing kernel stages TERMS terms of both factors. Of these each of WZ
// slices takes its share, where there are too few tiles for a GPU; those of the first slice add up the others' sums.

const ROWS = 4u * WY;
const COLUMNS = 4u * WX;
const SIZE = WX * WY * WZ;
const SHARE = TERMS / WZ;

// By terms. Rows lie by fours, which an invocation loads at once, those of a term turned by `turned`. The host declares the lengths,
// so that kernels side by side share memory.
var<workgroup> rows: array<vec4<f32>, STAGED_ROWS>;
var<workgroup> columns: array<f32, STAGED_COLUMNS>;

// Where four rows of a term lie. Lanes that stage neighbouring terms of a row would else meet in one bank.
fn turned(term: u32, four: u32) -> u32 {
    return term * WY + (four + term / 4u * 2u) % WY;
}

// The first of four terms, and the row, that an invocation stages as its `i`th. Four lanes share a row.
fn staged(i: u32) -> vec2<u32> {
    return vec2<u32>(i / (4u * ROWS) * 16u + i % 4u * 4u, i / 4u % ROWS);
}

// Stages four terms of a row.
fn stage_row(term: u32, row: u32, values: vec4<f32>) {
    for (var t = 0u; t < 4u; t++) {
        rows[turned(term + t, row / 4u)][row % 4u] = values[t];
    }
}

// Adds the products of what is staged to an invocation's sums: a vector for each of its columns, one component a row.
fn add_products(local: vec3<u32>, sums: ptr<function, array<vec4<f32>, 4>>) {
    workgroupBarrier();
    for (var t = 0u; t < SHARE; t++) {
        let term = local.z * SHARE + t;
        let k = rows[turned(term, local.y)];
        for (var c = 0u; c < 4u; c++) {
            (*sums)[c] = fma(k, vec4(columns[term * COLUMNS + local.x + c * WX]), (*sums)[c]);
        }
    }
    workgroupBarrier();
}

// Adds the sums of all slices, always in the same order. The first slice gets the result.
fn add_slices(local: vec3<u32>, sums: ptr<function, array<vec4<f32>, 4>>) {
    for (var half = WZ / 2u; half > 0u; half /= 2u) {
        let first = (local.z % half * 4u * WY + local.y) * WX + local.x;
        for (var c = 0u; c < 4u; c++) {
            let i = first + c * WX * WY;
            if local.z >= half && local.z < 2u * half {
                rows[i] = (*sums)[c];
            }
        }
        workgroupBarrier();
        for (var c = 0u; c < 4u; c++) {
            let i = first + c * WX * WY;
            if local.z < half {
                (*sums)[c] += rows[i];
            }
        }
        workgroupBarrier();
    }
}
