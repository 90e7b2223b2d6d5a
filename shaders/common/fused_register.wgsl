// A piece of a layer by tiles: an invocation sums P_TQ quads of columns at P_TP positions, over its share of the rows. The lanes of
// a workgroup own positions (P_LP lanes apart), rows (P_LR) and quads of columns (P_LQ) of their own; those that share rows add
// up what they have in the end. The positions of all its images count through. Lanes and tiles divide into the piece without rest,
// and no window reaches into padding.
// P_FROM and P_TO: 0 the image, 1 its reconstruction, 2 the workgroup's memory.

fn quad_NUMBER(at: u32) -> vec4<f32> {
    switch P_FROM {
        case 0u: { return images[at]; }
        case 1u: { return reconstructions[at]; }
        default: { return memory[at]; }
    }
}

fn of_other_NUMBER(v: vec4<f32>, lane: u32, other: u32) -> vec4<f32> {
    return vec4(of_lane(v.x, lane, other), of_lane(v.y, lane, other), of_lane(v.z, lane, other), of_lane(v.w, lane, other));
}

// Written out: drivers do not unroll a loop that doubles its counter, nor then those around it.
fn over_rows_NUMBER(value: vec4<f32>, lane: u32) -> vec4<f32> {
    var sum = value;
    if P_LR > 1u {
        sum += of_other_NUMBER(sum, lane, lane ^ P_LQ);
    }
    if P_LR > 2u {
        sum += of_other_NUMBER(sum, lane, lane ^ (2u * P_LQ));
    }
    if P_LR > 4u {
        sum += of_other_NUMBER(sum, lane, lane ^ (4u * P_LQ));
    }
    return sum;
}

fn pieceNUMBER(image: u32, lane: u32) {
    const GRID = P_GH * P_GW;
    const RUN = P_KW * P_CI / 4u; // quads that lie one after the other in a row of the window
    const STEPS = P_KH * RUN / P_LR;
    const ACROSS = P_SPREAD * P_CO / 4u; // quads of columns that lie one after the other in the output
    let quad_lane = lane % P_LQ;
    let row_lane = lane / P_LQ % P_LR;
    let position_lane = lane / (P_LQ * P_LR);
    for (var first = 0u; first < IMAGES * GRID + nothing(); first += P_LP * P_TP) {
        var windows = array<u32, P_TP>();
        for (var p = 0u; p < P_TP; p++) {
            let at = first + p * P_LP + position_lane;
            let position = at % GRID;
            let start = select(P_READ + at / GRID * MEMORY, (image + at / GRID) * IMAGE, P_FROM < 2u);
            windows[p] = start + (position / P_GW * P_IW + position % P_GW) * P_STRIDE * P_CI / 4u;
        }
        for (var column = 0u; column < P_QUADS + nothing(); column += P_LQ * P_TQ) {
            var sums = array<array<vec4<f32>, P_TQ>, P_TP>();
            for (var step = 0u; step < STEPS + nothing(); step++) {
                let row = step * P_LR + row_lane;
                let at = row / RUN * (P_IW * P_CI / 4u) + row % RUN;
                var values = array<vec4<f32>, P_TP>();
                for (var p = 0u; p < P_TP; p++) {
                    values[p] = quad_NUMBER(windows[p] + at);
                }
                for (var q = 0u; q < P_TQ; q++) {
                    let weights = P_WEIGHTS + row * 4u * P_QUADS + column + q * P_LQ + quad_lane;
                    let x = weight(weights);
                    let y = weight(weights + P_QUADS);
                    let z = weight(weights + 2u * P_QUADS);
                    let w = weight(weights + 3u * P_QUADS);
                    for (var p = 0u; p < P_TP; p++) {
                        let v = values[p];
                        sums[p][q] = fma(v.wwww, w, fma(v.zzzz, z, fma(v.yyyy, y, fma(v.xxxx, x, sums[p][q]))));
                    }
                }
            }
            for (var q = 0u; q < P_TQ; q++) {
                let quad = column + q * P_LQ + quad_lane;
                let biases = weight(P_BIAS + quad % ((P_CO + 3u) / 4u));
                let bias = select(biases.xxxx, biases, P_CO % 4u == 0u);
                for (var p = 0u; p < P_TP; p++) {
                    let at = first + p * P_LP + position_lane;
                    let position = at % GRID;
                    let y = position / P_GW * P_STEP + P_OY + quad / ACROSS;
                    let x = position % P_GW * P_STEP + P_OX;
                    let start = select(P_WRITE + at / GRID * MEMORY, (image + at / GRID) * IMAGE, P_TO == 1u);
                    let to = start + (y * P_OW + x) * P_CO / 4u + quad % ACROSS;
                    let v = over_rows_NUMBER(sums[p][q], lane) + bias;
                    let result = vec4(activate_NUMBER(v.x), activate_NUMBER(v.y), activate_NUMBER(v.z), activate_NUMBER(v.w));
                    // No condition where none is needed: on llvmpipe it makes a store eight times as dear.
                    if P_LR == 1u || row_lane == 0u {
                        switch P_TO {
                            case 1u: { reconstructions[to] = result; }
                            default: { memory[to] = result; }
                        }
                    }
                }
            }
        }
    }
}
