// Element `i` of the result comes from where the transformation of its image takes it from.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> codes: array<f32>;
@group(0) @binding(2) var<storage, read> step_counter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let last = i32(SIDE) - 1;
    let first = u32(step_counter[0]) * BATCH;
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let image = i / SAMPLE;
        let code = u32(codes[(first + image) % CODES]);
        var row = i32(i / SIDE % SIDE) + i32(code / (8u * SHIFTS)) - i32(MAX_SHIFT);
        var column = i32(i % SIDE) + i32(code / 8u % SHIFTS) - i32(MAX_SHIFT);
        row = clamp(row, 0, last);
        column = clamp(column, 0, last);
        if (code & 4u) != 0u {
            column = last - column;
        }
        let turns = code & 3u;
        if turns == 1u || turns == 3u {
            let swapped = row;
            row = column;
            column = swapped;
        }
        if turns == 1u || turns == 2u {
            column = last - column;
        }
        if turns == 2u || turns == 3u {
            row = last - row;
        }
        y[i] = x[i / (SIDE * SIDE) * (SIDE * SIDE) + u32(row) * SIDE + u32(column)];
    }
}
