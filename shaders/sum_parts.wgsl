// Adds PARTS partial results of LEN elements each, always in the same order.
@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < LEN; i += STRIDE) {
        var sum = 0.0;
        for (var part = 0u; part < PARTS; part++) {
            sum += parts[part * LEN + i];
        }
        y[i] = sum;
    }
}
