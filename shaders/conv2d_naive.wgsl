//#import activation
//#import convolution
//#import output
// conv2d: y[n,co,oy,ox] = sum x[n,ci, oy*SY+ky-PY, ox*SX+kx-PX] * w[co,ci,ky,kx]
// One invocation owns one output element. This is the plainest statement of the operation, the oracle of the other variants,
// so it stands here whole, bindings and signature too.
// Prelude: shape constants, LANES.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let own = output(group, groups, lane);
    if !own.inside { return; }
    var sum = 0.0;
    for (var ci = 0u; ci < CI; ci++) {
        for (var ky = 0u; ky < KH; ky++) {
            let iy = own.oy * SY + ky - PY; // above the input it wraps round and fails `< IH`
            for (var kx = 0u; kx < KW; kx++) {
                let ix = own.ox * SX + kx - PX;
                if iy < IH && ix < IW {
                    sum += x[((own.n * CI + ci) * IH + iy) * IW + ix] * w[((own.co * CI + ci) * KH + ky) * KW + kx];
                }
            }
        }
    }
    y[own.at] = finish(sum, own.co, own.at);
}
