// The matrix product of the tiled kernels, in workgroup memory: rows x columns, summed over terms. A workgroup of WX x WY x WZ
// invocations owns 4*WY rows x 4*WX columns; an invocation owns 4x4 of them, its columns WX apart, so that neighbouring
// lanes store to neighbouring addresses. Per step the importing kernel loads TERMS terms of both factors, which are then staged. Of
// these each of WZ slices takes its share, where there are too few tiles for a GPU; those of the first slice add up the others' sums.

const ROWS = 4u * WY;
const COLUMNS = 4u * WX;
const SIZE = WX * WY * WZ;
const SHARE = TERMS / WZ;
const BESIDE = 16u / (WY * WZ); // terms of a slice in an inner array
const ROW_LOADS = TERMS / 4u * ROWS / SIZE; // of an invocation in a step, by four terms
const COLUMN_LOADS = TERMS * COLUMNS / SIZE;
const NEXT_COLUMN = SIZE / 64u * BESIDE; // terms from one of an invocation's loads to the next

// By terms of a slice, then slices. Rows lie by fours, which an invocation loads at once. Arrays in arrays, because the outer index is
// known when the shader is compiled, and then its bounds are. The host declares the outer length, so that kernels side by side
// share memory.
var<workgroup> rows: array<array<vec4<f32>, 16>, STAGED>;
var<workgroup> columns: array<array<f32, 64>, STAGED>;

// Where four rows of a slice's term `4 * fours + q` lie in its inner array: turned, for lanes that stage neighbouring terms of a row
// would else meet in one bank.
fn row_place(slice: u32, fours: u32, q: u32, four: u32) -> u32 {
    return (q % BESIDE * WZ + slice) * WY + (four + fours * 2u) % WY;
}

// The first of four terms, and the row, that are load `k` of an invocation. Four lanes share a row.
fn row_load(lane: u32, k: u32) -> vec2<u32> {
    return vec2<u32>((lane % 4u + k * SIZE / ROWS / 4u * 4u) * 4u, lane / 4u + k * SIZE / 4u % ROWS);
}

// The term that is the first load of an invocation for its column, which is `lane % COLUMNS`.
fn column_load(lane: u32) -> u32 {
    return lane / COLUMNS % WZ * SHARE + lane / 64u * BESIDE + lane % 64u / (COLUMNS * WZ);
}

// Stages what an invocation has loaded. It loads all of a step before, so that it waits for memory once.
fn stage(
    lane: u32,
    loaded_rows: ptr<function, array<vec4<f32>, ROW_LOADS>>,
    loaded_columns: ptr<function, array<f32, COLUMN_LOADS>>,
) {
    for (var k = 0u; k < ROW_LOADS; k++) {
        let fours = row_load(lane, k).x / 4u;
        let slice = fours / (SHARE / 4u) % WZ;
        let own = fours % (SHARE / 4u);
        for (var q = 0u; q < 4u; q++) {
            let place = row_place(slice, own, q, row_load(lane, k).y / 4u);
            rows[own * (4u / BESIDE) + q / BESIDE][place][lane / 4u % 4u] = (*loaded_rows)[k][q];
        }
    }
    for (var k = 0u; k < COLUMN_LOADS; k++) {
        columns[k * SIZE / 64u + lane / 64u % (SIZE / 64u)][lane % 64u] = (*loaded_columns)[k];
    }
}

// Adds the products of what is staged to an invocation's sums: a vector for each of its columns, one component a row.
fn add_products(local: vec3<u32>, sums: ptr<function, array<vec4<f32>, 4>>) {
    workgroupBarrier();
    for (var t = 0u; t < SHARE; t++) {
        let k = rows[t / BESIDE][row_place(local.z, t / 4u, t % 4u, local.y)];
        let first = (t % BESIDE * WZ + local.z) * COLUMNS + local.x;
        for (var c = 0u; c < 4u; c++) {
            (*sums)[c] = fma(k, vec4(columns[t / BESIDE][first + c * WX]), (*sums)[c]);
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
                rows[i / 16u][i % 16u] = (*sums)[c];
            }
        }
        workgroupBarrier();
        for (var c = 0u; c < 4u; c++) {
            let i = first + c * WX * WY;
            if local.z < half {
                (*sums)[c] += rows[i / 16u][i % 16u];
            }
        }
        workgroupBarrier();
    }
}
