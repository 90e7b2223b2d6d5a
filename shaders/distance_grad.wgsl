// SAMPLE and LEN count elements of `quad` or `single`. MEASURE: 0 L1, 1 mean squared, 2 L2.
@group(0) @binding(0) var<storage, read> a: array<Element>;
@group(0) @binding(1) var<storage, read> b: array<Element>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<Element>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let d = a[i] - b[i];
        let sample = i / SAMPLE;
        var slope: Element;
        switch MEASURE {
            case 0u: { slope = FACTOR * sign(d); }
            case 1u: { slope = 2.0 * FACTOR * d; }
            default: { slope = d / max(y[sample], SMALLEST); }
        }
        da[i] = dy[sample] * slope;
    }
}
