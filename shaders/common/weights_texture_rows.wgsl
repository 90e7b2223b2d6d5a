// Weights in single precision, by fours, in a texture of rows of ROW quads.
@group(0) @binding(1) var weights: texture_storage_2d<rgba32uint, read>;

fn weight(quad: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(weights, vec2<u32>(quad % ROW, quad / ROW)));
}
