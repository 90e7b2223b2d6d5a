// Tensors as vectors of four neighbours, for planes that divide into them.
alias Element = vec4<f32>;
const PER_ELEMENT = 4u;

// Four neighbours as an element.
fn element(a: f32, b: f32, c: f32, d: f32) -> Element {
    return vec4<f32>(a, b, c, d);
}

fn total(v: Element) -> f32 {
    return dot(v, vec4<f32>(1.0));
}
