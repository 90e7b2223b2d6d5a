// The gradient of a distance by `a`, of elements of `vec4` or `single`. MEASURE: 0 L1, 1 mean squared, 2 L2.

// `d` is the difference of `a` and `b`, `y` the distance.
fn distance_slope(d: Element, y: f32) -> Element {
    switch MEASURE {
        case 0u: { return FACTOR * sign(d); }
        case 1u: { return 2.0 * FACTOR * d; }
        default: { return d / max(y, MIN_DISTANCE); }
    }
}
