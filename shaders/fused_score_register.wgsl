//#import exchange
// fused_score for adapters whose "GPU" is a CPU: a workgroup is as wide as its vectors, all that is kept or loaded is in quads,
// and sums stay in registers. For networks whose layers divide into quads everywhere. A workgroup scores IMAGES images, for which
// a weight is loaded once.
// The host adds a function for each piece of a layer (common/fused_register.wgsl) and network0, network1, network2, which call
// them in turn.
// Prelude: WIDTH and LANES, which are the same; IMAGES; in quads MEMORY and IMAGE, of each image, LATENTS, LATENT1 and LATENT2
// (where the first image's vectors lie in memory); SMALLEST.
@group(0) @binding(0) var<storage, read> images: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> reconstructions: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> latents: array<vec4<f32>>;

// Activations as [H, W, C]: what a layer reads at one end, what it writes at the other.
var<workgroup> memory: array<vec4<f32>, IMAGES * MEMORY>;

// See fused_score.wgsl.
fn nothing() -> u32 {
    return select(0u, 1u, arrayLength(&scores) == 0u);
}

// The sum of a value over the workgroup.
fn total(lane: u32, value: f32) -> f32 {
    var sum = value;
    for (var apart = 1u; apart < WIDTH; apart *= 2u) {
        sum += of_lane(sum, lane, lane ^ apart);
    }
    return sum;
}

// What scales a vector to a root mean square of one.
fn unit_rms(vector: u32, lane: u32) -> f32 {
    var squares = 0.0;
    for (var i = lane; i < LATENTS; i += WIDTH) {
        squares += dot(memory[vector + i], memory[vector + i]);
    }
    return sqrt(4.0 * f32(LATENTS)) / max(sqrt(total(lane, squares)), SMALLEST);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = group.x * IMAGES;
    network0(image, lane);
    for (var own = 0u; own < IMAGES; own++) {
        let vector = LATENT1 + own * MEMORY;
        let scale = unit_rms(vector, lane);
        for (var i = lane; i < LATENTS; i += WIDTH) {
            let v = scale * memory[vector + i];
            memory[vector + i] = v;
            latents[(image + own) * LATENTS + i] = v;
        }
    }
    workgroupBarrier();
    network1(image, lane);
    storageBarrier();
    network2(image, lane);
    for (var own = 0u; own < IMAGES; own++) {
        let vector = LATENT2 + own * MEMORY;
        let scale = unit_rms(vector, lane);
        var squares = 0.0;
        for (var i = lane; i < LATENTS; i += WIDTH) {
            let d = latents[(image + own) * LATENTS + i] - scale * memory[vector + i];
            squares += dot(d, d);
        }
        let sum = total(lane, squares);
        if lane == 0u {
            scores[image + own] = sqrt(sum);
        }
    }
}
