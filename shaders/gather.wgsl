@group(0) @binding(0) var<storage, read> images: array<f32>;
@group(0) @binding(1) var<storage, read> order: array<f32>;
@group(0) @binding(2) var<storage, read> step_counter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = u32(step_counter[0]) * BATCH;
    for (var i = id.x; i < LEN; i += STRIDE) {
        let image = u32(order[(first + i / SAMPLE) % ORDER]);
        y[i] = images[image * SAMPLE + i % SAMPLE];
    }
}
