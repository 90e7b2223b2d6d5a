// Looks for infinite numbers and NaN by their exponents: a compiler may assume that there is no NaN.
@group(0) @binding(0) var<storage, read_write> numbers: array<vec4<u32>>;
// Whoever finds one stores the same value.
@group(0) @binding(1) var<storage, read_write> flags: array<atomic<u32>>;

const EXPONENT = 0x7f800000u;
const ONE = 0x3f800000u;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var found = false;
    for (var i = group.x * BLOCK + lane; i < min(LEN, (group.x + 1u) * BLOCK); i += WIDTH) {
        found |= any((numbers[i] & vec4<u32>(EXPONENT)) == vec4<u32>(EXPONENT));
    }
    if found {
        atomicStore(&flags[FLAG], ONE);
    }
}
