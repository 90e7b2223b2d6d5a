// Tensors as single numbers; the twin of quad.wgsl.
alias Element = f32;
const PER_ELEMENT = 1u;

fn total(v: Element) -> f32 {
    return v;
}
