// A whole generator and the distance of its latent vectors; one workgroup an image, activations in workgroup memory.
// The host adds a function for each implicit matrix product of a layer (common/fused_*.wgsl) and network0, network1,
// network2, which call them in turn.
// Prelude: WIDTH, MEMORY, IMAGE, LATENTS, LATENT1 and LATENT2 (where the vectors lie in memory), UNIT_RMS, MIN_NORM.
@group(0) @binding(0) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
// Written by the decoder, read again by the second encoder: each workgroup sees only its own image.
@group(0) @binding(3) var<storage, read_write> reconstructions: array<f32>;
// The images' latent vectors wait here while the other networks use the memory.
@group(0) @binding(4) var<storage, read_write> latents: array<f32>;

// Activations as [H, W, C]: what a layer reads at one end, what it writes at the other.
var<workgroup> memory: array<f32, MEMORY>;

// Zero, but compilers cannot know: added to the limit of every loop that is not over registers. Unrolled, the loops of all
// layers would take a driver minutes to compile, and run no faster.
fn nothing() -> u32 {
    return select(0u, 1u, arrayLength(&scores) == 0u);
}

// The sum of a value over the workgroup, always in the same order. `vector` is where a latent vector lies in memory; the
// values go beside it.
fn total_beside(vector: u32, lane: u32, value: f32) -> f32 {
    let free = select(0u, LATENTS, vector < WIDTH);
    workgroupBarrier();
    memory[free + lane] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < WIDTH; i++) {
        sum += memory[free + i];
    }
    return sum;
}

// What scales a vector to a root mean square of one, where UNIT_RMS; else one.
fn latent_scale(vector: u32, lane: u32) -> f32 {
    if !UNIT_RMS {
        return 1.0;
    }
    var squares = 0.0;
    for (var i = lane; i < LATENTS; i += WIDTH) {
        squares += memory[vector + i] * memory[vector + i];
    }
    return sqrt(f32(LATENTS)) / max(sqrt(total_beside(vector, lane, squares)), MIN_NORM);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = group.x;
    network0(image, lane);
    let scale1 = latent_scale(LATENT1, lane);
    for (var i = lane; i < LATENTS; i += WIDTH) {
        let v = scale1 * memory[LATENT1 + i];
        memory[LATENT1 + i] = v;
        latents[image * LATENTS + i] = v;
    }
    workgroupBarrier();
    network1(image, lane);
    storageBarrier();
    network2(image, lane);
    let scale2 = latent_scale(LATENT2, lane);
    var squares = 0.0;
    for (var i = lane; i < LATENTS; i += WIDTH) {
        let d = latents[image * LATENTS + i] - scale2 * memory[LATENT2 + i];
        squares += d * d;
    }
    let sum = total_beside(LATENT2, lane, squares);
    if lane == 0u {
        scores[image] = sqrt(sum);
    }
}
