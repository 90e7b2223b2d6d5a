@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dl: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < LEN; i += STRIDE) {
        dl[i] = dy[i] * (1.0 / (1.0 + exp(-logits[i])) - targets[i]);
    }
}
