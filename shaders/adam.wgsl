// One update of a whole network, four parameters an iteration.
@group(0) @binding(0) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> step_counter: array<f32>;
// By step: step size and correction of the root of the second moment.
@group(0) @binding(5) var<storage, read> table: array<vec2<f32>>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = table[min(u32(step_counter[0]), ROWS - 1u)];
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let g = gradients[i];
        let m = BETA1 * first[i] + NEWEST1 * g;
        let v = BETA2 * second[i] + NEWEST2 * g * g;
        first[i] = m;
        second[i] = v;
        parameters[i] -= row.x * m / (sqrt(v) * row.y + EPSILON);
    }
}
