// What Adam reads, from copies; the twin of adam_buffers.wgsl. The host binds textures.
@group(0) @binding(3) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> old_parameters: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> old_first: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> old_second: array<vec4<f32>>;

fn gradient(i: u32) -> vec4<f32> {
    return gradients[i];
}

fn parameter(i: u32) -> vec4<f32> {
    return old_parameters[i];
}

fn first_moment(i: u32) -> vec4<f32> {
    return old_first[i];
}

fn second_moment(i: u32) -> vec4<f32> {
    return old_second[i];
}
