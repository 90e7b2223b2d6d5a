// The activation of a layer; see activation.wgsl.

fn activate_NUMBER(v: f32) -> f32 {
    switch P_ACTIVATION {
        case 1u: { return select(v, 0.0, v < 0.0); }
        case 2u: { return select(P_NEGATIVE_SLOPE * v, v, v > 0.0); }
        case 3u: { return tanh(select(select(v, 15.0, v > 15.0), -15.0, v < -15.0)); }
        case 4u: { return 1.0 / (1.0 + exp(-v)); }
        default: { return v; }
    }
}
