// Tensors as single numbers; the twin of vec4.wgsl.
alias Element = f32;
const PER_ELEMENT = 1u;

// The first of four neighbours, which is an element.
fn element(a: f32, b: f32, c: f32, d: f32) -> Element {
    return a;
}

fn total(v: Element) -> f32 {
    return v;
}
