// Loads for the register kernels. The importing kernel declares x, IW and VEC4_X.

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
