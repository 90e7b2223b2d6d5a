@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < LEN; i += STRIDE) {
        if i < FIRST {
            y[i] = a[i];
        } else {
            y[i] = b[i - FIRST];
        }
    }
}
