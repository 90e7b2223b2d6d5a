// GRADIENT: with the gradient of bce_with_logits_grad.wgsl.
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> dl: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let l = logits[i];
        let t = targets[i];
        y[i] = max(l, 0.0) - l * t + log(1.0 + exp(-abs(l)));
        if GRADIENT {
            dl[i] = dy[i] * (1.0 / (1.0 + exp(-l)) - t);
        }
    }
}
