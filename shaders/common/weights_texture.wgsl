// Packed weights in single precision, in a texture.
// Prelude: TEXELS, of a row.
@group(0) @binding(1) var weights: texture_storage_2d<rgba32uint, read>;

fn weight(quad: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(weights, vec2(quad % TEXELS, quad / TEXELS)));
}
