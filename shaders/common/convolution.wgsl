// What both convolutions do to their sums, as elements of `vec4` or `single`. The host declares HAS_BIAS, ADDS and ACTIVATION_GRAD.
@group(0) @binding(2) var<storage, read> bias: array<f32>;
// Output of the activation whose gradient this is, where ACTIVATION_GRAD.
@group(0) @binding(3) var<storage, read> activated: array<Element>;
// What is added, where ADDS.
@group(0) @binding(5) var<storage, read> added: array<Element>;

// Element `out` of the result, in channel `co`.
fn finish(sum: Element, co: u32, out: u32) -> Element {
    var v = sum;
    if HAS_BIAS {
        v += bias[co];
    }
    if ADDS {
        v += added[out];
    }
    if ACTIVATION_GRAD {
        return v * activation_slope(activated[out]);
    }
    return activate(v);
}
