// The activation of a layer; see activation.wgsl.

fn activate_NUMBER(v: f32) -> f32 {
    switch P_ACTIVATION {
        case 1u: { return select(v, 0.0, v < 0.0); }
        case 2u: { return select(P_NEGATIVE_SLOPE * v, v, v > 0.0); }
        // With one power of two, where drivers may take two of e; 2.885 is 2 / ln 2. Beyond 15 it is 1 in f32.
        case 3u: { return 1.0 - 2.0 / (exp2(2.8853900817779268 * select(select(v, 15.0, v > 15.0), -15.0, v < -15.0)) + 1.0); }
        case 4u: { return 1.0 / (1.0 + exp(-v)); }
        default: { return v; }
    }
}
