//#import activation
//#import convolution
//#import output
// conv_transpose2d: y[n,co, iy*SY+ky-PY, ix*SX+kx-PX] += x[n,ci,iy,ix] * w[ci,co,ky,kx]; also the data gradient of conv2d.
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
            for (var kx = 0u; kx < KW; kx++) {
                // Where the tap lies before the input, the difference wraps round and its quotient fails the range check.
                let down = own.oy + PY - ky;
                let right = own.ox + PX - kx;
                let iy = down / SY;
                let ix = right / SX;
                if down == iy * SY && right == ix * SX && own.oy + PY >= ky && own.ox + PX >= kx && iy < IH && ix < IW {
                    sum += x[((own.n * CI + ci) * IH + iy) * IW + ix] * w[((ci * CO + own.co) * KH + ky) * KW + kx];
                }
            }
        }
    }
    y[own.at] = finish(sum, own.co, own.at);
}
