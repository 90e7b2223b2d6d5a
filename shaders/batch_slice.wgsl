@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < LEN; i += STRIDE) {
        y[i] = x[OFFSET + i];
    }
}
