// Packed weights in half precision, for adapters whose kernels know only single.
@group(0) @binding(1) var<storage, read> weights: array<vec2<u32>>;

fn weight(index: u32) -> vec4<f32> {
    let words = weights[index];
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
