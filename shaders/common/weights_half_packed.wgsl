// Packed weights in half precision, for adapters whose kernels know only single.
@group(0) @binding(1) var<storage, read> weights: array<vec2<u32>>;

fn weight(quad: u32) -> vec4<f32> {
    let words = weights[quad];
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
