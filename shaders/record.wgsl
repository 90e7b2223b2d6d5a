@group(0) @binding(0) var<storage, read_write> history: array<f32>;
@group(0) @binding(1) var<storage, read> step_counter: array<f32>;
@group(0) @binding(2) var<storage, read> value0: array<f32>;
@group(0) @binding(3) var<storage, read> value1: array<f32>;
@group(0) @binding(4) var<storage, read> value2: array<f32>;
@group(0) @binding(5) var<storage, read> value3: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        let row = u32(step_counter[0]) % ROWS * VALUES;
        history[row] = value0[0];
        if VALUES > 1u { history[row + 1u] = value1[0]; }
        if VALUES > 2u { history[row + 2u] = value2[0]; }
        if VALUES > 3u { history[row + 3u] = value3[0]; }
    }
}
