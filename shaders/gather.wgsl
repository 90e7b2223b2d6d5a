// SAMPLE and LEN count elements of `vec4` or `single`.
@group(0) @binding(0) var<storage, read> images: array<Element>;
@group(0) @binding(1) var<storage, read> order: array<f32>;
@group(0) @binding(2) var<storage, read> step_counter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = u32(step_counter[0]) * BATCH;
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let image = u32(order[(first + i / SAMPLE) % ORDER]);
        y[i] = images[image * SAMPLE + i % SAMPLE];
    }
}
