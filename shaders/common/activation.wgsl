// Activations of elements (`vec4` or `single`) and their derivatives. The host declares ACTIVATION and
// NEGATIVE_SLOPE. Written so that NaN passes through: max and clamp would hide that a network diverged.

fn activate(v: Element) -> Element {
    switch ACTIVATION {
        case 1u: { return select(v, Element(), v < Element()); }
        case 2u: { return select(NEGATIVE_SLOPE * v, v, v > Element()); }
        // Some drivers overflow in tanh; beyond 15 it is 1 in f32.
        case 3u: { return tanh(select(select(v, Element(15.0), v > Element(15.0)), Element(-15.0), v < Element(-15.0))); }
        case 4u: { return 1.0 / (1.0 + exp(-v)); }
        default: { return v; }
    }
}

// The derivative where the activation is y.
fn activation_slope(y: Element) -> Element {
    switch ACTIVATION {
        case 1u: { return select(Element(), Element(1.0), y > Element()); }
        case 2u: { return select(Element(NEGATIVE_SLOPE), Element(1.0), y > Element()); }
        case 3u: { return 1.0 - y * y; }
        case 4u: { return y * (1.0 - y); }
        default: { return Element(1.0); }
    }
}
