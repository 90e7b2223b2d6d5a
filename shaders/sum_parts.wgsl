// Adds PARTS partial results of LEN elements each, always in the same order.
@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        var sum = 0.0;
        for (var part = 0u; part < PARTS; part++) {
            sum += parts[part * LEN + i];
        }
        y[i] = sum;
    }
}
