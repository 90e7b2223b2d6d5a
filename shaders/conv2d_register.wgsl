//#import activation
//#import convolution
//#import columns
//#import kernel_row
//#import slices
// conv2d in registers: for adapters whose "GPU" is a CPU, and for few output channels. A CPU has one slice, and then neither
// workgroup memory nor barriers. On a GPU slices of the workgroup may share the input channels.
// One invocation owns TY rows x TX columns of outputs in TC channels of one image; the lanes of a workgroup own
// neighbouring blocks of pixels, (n, block row, block column) flattened, in the same channels, or LANES_C lanes the same block in
// channels of their own. There a load is a loop over the lanes, so that each number that is loaded serves many products: inputs TC
// channels and up to KW taps, weights all pixels of the block.
// Prelude: shape constants, LANES, LANES_C, SLICES, TY, TX, TC. Elements of y are vec4s where OW and TX divide into them.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

const BLOCKS_X = (OW + TX - 1u) / TX;
const COLUMNS = (TX - 1u) * SX + KW; // input columns under a row of the block
const VEC4_X = IW % 4u == 0u && (TX * SX % 4u == 0u || BLOCKS_X == 1u); // x can be loaded by whole vec4s
const BEFORE = PX;
const WINDOW_ROWS = TY;

@compute @workgroup_size(LANES, SLICES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let slice = select(0u, local.y, SLICES > 1u); // drivers shall know where there is only one
    let block = (group.z * groups.x + group.x) * (LANES / LANES_C) + lane / LANES_C;
    let row0 = block / BLOCKS_X * TY;
    let ox0 = block % BLOCKS_X * TX;
    let co0 = (group.y * LANES_C + lane % LANES_C) * TC;

    var acc: array<array<array<f32, TX>, TY>, TC>;
    for (var ci = slice; ci < CI; ci += SLICES) {
        for (var ky = 0u; ky < KH; ky++) {
            var window: array<f32, WINDOW>;
            for (var ty = 0u; ty < TY; ty++) {
                let n = (row0 + ty) / OH;
                let iy = (row0 + ty) % OH * SY + ky - PY; // above the input it wraps round and fails `< IH`
                let row = ((n * CI + ci) * IH + iy) * IW;
                load_window_row(&window, ty, row, ox0 * SX - PX, iy < IH);
            }
            for (var c = 0u; c < TC; c++) {
                let first_tap = (((co0 + c) * CI + ci) * KH + ky) * KW;
                var taps = kernel_row(first_tap);
                for (var kx = 0u; kx < KW; kx++) {
                    for (var ty = 0u; ty < TY; ty++) {
                        for (var tx = 0u; tx < TX; tx++) {
                            acc[c][ty][tx] = fma(taps[kx], window[ty * VEC4S * 4u + LEAD + tx * SX + kx], acc[c][ty][tx]);
                        }
                    }
                }
            }
        }
    }

    if SLICES > 1u {
        for (var c = 0u; c < TC; c++) {
            for (var ty = 0u; ty < TY; ty++) {
                for (var tx = 0u; tx < TX; tx++) {
                    acc[c][ty][tx] = over_slices(acc[c][ty][tx], local);
                }
            }
        }
    }

    for (var c = 0u; c < TC; c++) {
        let co = co0 + c;
        for (var ty = 0u; ty < TY; ty++) {
            let n = (row0 + ty) / OH;
            let oy = (row0 + ty) % OH;
            let row = ((n * CO + co) * OH + oy) * OW + ox0;
            let inside = n < N && co < CO && slice == 0u;
            for (var tx = 0u; tx < TX; tx += PER_ELEMENT) {
                if inside && ox0 + tx < OW {
                    let sums = element(acc[c][ty][tx], acc[c][ty][min(tx + 1u, TX - 1u)], acc[c][ty][min(tx + 2u, TX - 1u)], acc[c][ty][min(tx + 3u, TX - 1u)]);
                    y[(row + tx) / PER_ELEMENT] = finish(sums, co, (row + tx) / PER_ELEMENT);
                }
            }
        }
    }
}
