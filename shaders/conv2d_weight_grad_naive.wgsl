// conv2d weight gradient: dw[co,ci,ky,kx] = sum over n,oy,ox of g[n,co,oy,ox] * x[n,ci, oy*SY+ky-PY, ox*SX+kx-PX]
// One invocation owns one weight of one part: part s of SPLITS sums the output rows (n,oy) from s*PART on.
// This is the plainest statement of the operation, the oracle of the other variants.
// Prelude: shape constants, SPLITS, LANES.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

const WEIGHTS = CO * CI * KH * KW;
const PART = (N * OH + SPLITS - 1u) / SPLITS;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let out = (group.y * groups.x + group.x) * LANES + lane;
    if out >= SPLITS * WEIGHTS { return; }
    let kx = out % KW;
    let ky = out / KW % KH;
    let ci = out / (KW * KH) % CI;
    let co = out / (KW * KH * CI) % CO;
    let part = out / WEIGHTS;
    var sum = 0.0;
    for (var row = part * PART; row < min((part + 1u) * PART, N * OH); row++) {
        let n = row / OH;
        let oy = row % OH;
        let iy = oy * SY + ky - PY; // above the input it wraps round and fails `< IH`
        for (var ox = 0u; ox < OW; ox++) {
            let ix = ox * SX + kx - PX;
            if iy < IH && ix < IW {
                sum += g[((n * CO + co) * OH + oy) * OW + ox] * x[((n * CI + ci) * IH + iy) * IW + ix];
            }
        }
    }
    dw[out] = sum;
}
