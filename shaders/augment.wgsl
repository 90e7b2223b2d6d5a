// Where an element comes from: `Transformation::source` in `src/engine/ops/augment.rs`.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> codes: array<f32>;
@group(0) @binding(2) var<storage, read> step_counter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const SHIFTS: u32 = 2u * MAX_SHIFT + 1u;
const PLANE: u32 = SIDE * SIDE;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = u32(step_counter[0]) * BATCH;
    let last = i32(SIDE) - 1;
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        let image = i / (CHANNELS * PLANE);
        let code = u32(codes[(first + image) % CODES]);
        let shift = vec2(code / KINDS / SHIFTS, code / KINDS % SHIFTS);
        var place = vec2<i32>(vec2(i / SIDE % SIDE, i % SIDE) + shift) - i32(MAX_SHIFT);
        place = clamp(place, vec2(0), vec2(last));
        if code / 4u % 2u == 1u {
            place.y = last - place.y;
        }
        switch code % 4u {
            case 1u: { place = vec2(place.y, last - place.x); }
            case 2u: { place = last - place; }
            case 3u: { place = vec2(last - place.y, place.x); }
            default: {}
        }
        var channel = i / PLANE % CHANNELS;
        var factor = 1f;
        switch code / 8u % 4u {
            case 1u: { channel = (channel + 1u) % CHANNELS; }
            case 2u: { channel = (channel + CHANNELS - 1u) % CHANNELS; }
            case 3u: { factor = -1f; }
            default: {}
        }
        y[i] = factor * x[(image * CHANNELS + channel) * PLANE + u32(place.x) * SIDE + u32(place.y)];
    }
}
