// Weights in single precision, by fours, in a texture.
@group(0) @binding(1) var weights: texture_storage_1d<rgba32uint, read>;

fn weight(quad: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(weights, quad));
}
