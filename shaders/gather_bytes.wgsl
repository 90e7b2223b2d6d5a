// Each `vec4` of the result is an element of the ring: four bytes, the lowest first.
@group(0) @binding(0) var<storage, read> ring: array<u32>;
@group(0) @binding(1) var<storage, read> levels: array<f32>;
@group(0) @binding(2) var<storage, read> step_counter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let slot = u32(step_counter[0]) % SLOTS * ELEMENTS;
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let bytes = ring[slot + i];
        y[i] = element(
            levels[bytes & 255u],
            levels[(bytes >> 8u) & 255u],
            levels[(bytes >> 16u) & 255u],
            levels[bytes >> 24u],
        );
    }
}
