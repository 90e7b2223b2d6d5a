@group(0) @binding(0) var<storage, read_write> counter: array<f32>;

@compute @workgroup_size(1)
fn main() {
    counter[0] += 1.0;
}
