// What both convolutions do to their sums, as elements of `quad` or `single`. The host declares HAS_BIAS, ADDS and GATED.
@group(0) @binding(2) var<storage, read> bias: array<f32>;
// Output of the activation whose gradient this is, where GATED.
@group(0) @binding(3) var<storage, read> gate: array<Element>;
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
    if GATED {
        return v * activation_slope(gate[out]);
    }
    return activate(v);
}
