// The window of inputs that an invocation of a register kernel holds: WINDOW_ROWS rows of COLUMNS columns, of which the first
// needed is BEFORE columns left of the block. The importing kernel declares x, VEC4_X and these.

const LEAD = select(0u, (4u - BEFORE % 4u) % 4u, VEC4_X); // columns loaded before the first one needed
const VEC4S = (LEAD + COLUMNS + 3u) / 4u;
const WINDOW = WINDOW_ROWS * VEC4S * 4u;

// Loads row `window_row` of the window, whose first column needed is `first` of the image.
fn load_window_row(window: ptr<function, array<f32, WINDOW>>, window_row: u32, row: u32, first: u32, inside: bool) {
    for (var q = 0u; q < VEC4S; q++) {
        let at = (window_row * VEC4S + q) * 4u;
        let v = four_columns(row, first - LEAD + q * 4u, inside);
        (*window)[at] = v.x;
        (*window)[at + 1u] = v.y;
        (*window)[at + 2u] = v.z;
        (*window)[at + 3u] = v.w;
    }
}

// Four columns of an input row from column `ix` on, zeros outside the image. `row` is where the row
// starts in x, `inside` whether the image has it. A column left of the image wraps round and fails `< IW`.
fn four_columns(row: u32, ix: u32, inside: bool) -> vec4<f32> {
    if VEC4_X {
        return select(vec4<f32>(), x[(row + ix) / 4u], inside && ix < IW);
    }
    var v: vec4<f32>;
    for (var i = 0u; i < 4u; i++) {
        let at = row + ix + i;
        v[i] = select(0.0, x[at / 4u][at % 4u], inside && ix + i < IW);
    }
    return v;
}
