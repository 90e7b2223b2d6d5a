// Activations and their derivatives. The host declares ACTIVATION and NEGATIVE_SLOPE.

fn activate(v: f32) -> f32 {
    switch ACTIVATION {
        case 1u: { return max(v, 0.0); }
        case 2u: { return select(NEGATIVE_SLOPE * v, v, v > 0.0); }
        // Some drivers overflow in tanh; beyond 15 it is 1 in f32.
        case 3u: { return tanh(clamp(v, -15.0, 15.0)); }
        case 4u: { return 1.0 / (1.0 + exp(-v)); }
        default: { return v; }
    }
}

// The derivative where the activation is y.
fn activation_slope(y: f32) -> f32 {
    switch ACTIVATION {
        case 1u: { return select(0.0, 1.0, y > 0.0); }
        case 2u: { return select(NEGATIVE_SLOPE, 1.0, y > 0.0); }
        case 3u: { return 1.0 - y * y; }
        case 4u: { return y * (1.0 - y); }
        default: { return 1.0; }
    }
}
