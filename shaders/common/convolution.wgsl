// What both convolutions bind, and what they do to each sum. The host declares HAS_BIAS and GATED.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
// Output of the activation whose gradient this is, where GATED.
@group(0) @binding(3) var<storage, read> gate: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Stores element `i` of channel `c`.
fn store(i: u32, c: u32, sum: f32) {
    var v = sum;
    if HAS_BIAS {
        v += bias[c];
    }
    if GATED {
        v *= activation_slope(gate[i]);
    } else {
        v = activate(v);
    }
    y[i] = v;
}
