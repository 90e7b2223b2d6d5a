// Tensors as vectors of four neighbours, for planes that divide into them.
alias Element = vec4<f32>;
const PER_ELEMENT = 4u;

fn total(v: Element) -> f32 {
    return dot(v, vec4<f32>(1.0));
}
