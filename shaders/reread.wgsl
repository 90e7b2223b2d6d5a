// One workgroup of eight, a vector of a CPU, that loads over and over, each invocation at an index of its own.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4<f32>();
    for (var i = lane; i < LOADS; i += LANES) {
        sum += x[i % QUADS];
    }
    y[lane] = sum;
}
