// Packed weights in half precision; sums stay in single.
@group(0) @binding(1) var<storage, read> weights: array<vec4<f16>>;

fn weight(index: u32) -> vec4<f32> {
    return vec4<f32>(weights[index]);
}
