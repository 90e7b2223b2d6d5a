// Packed weights in half precision, in a texture: two quads in each texel.
@group(0) @binding(1) var weights: texture_storage_1d<rgba32uint, read>;

fn weight(quad: u32) -> vec4<f32> {
    let quads = textureLoad(weights, quad / 2u);
    let words = select(quads.xy, quads.zw, quad % 2u == 1u);
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
