// What Adam reads, where it writes.
@group(0) @binding(3) var<storage, read_write> gradients: array<vec4<f32>>;

fn gradient(i: u32) -> vec4<f32> {
    return gradients[i];
}

fn parameter(i: u32) -> vec4<f32> {
    return parameters[i];
}

fn first_moment(i: u32) -> vec4<f32> {
    return first[i];
}

fn second_moment(i: u32) -> vec4<f32> {
    return second[i];
}
