// MEASURE: 0 L1, 1 mean squared, 2 L2.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < LEN; i += STRIDE) {
        let d = a[i] - b[i];
        let sample = i / SAMPLE;
        var slope: f32;
        switch MEASURE {
            case 0u: { slope = FACTOR * sign(d); }
            case 1u: { slope = 2.0 * FACTOR * d; }
            default: { slope = d / max(y[sample], SMALLEST); }
        }
        da[i] = dy[sample] * slope;
    }
}
