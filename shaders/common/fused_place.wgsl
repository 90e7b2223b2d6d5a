// What a matrix product reads and writes. P_FROM and P_TO: 0 the image, 1 its reconstruction, 2 the workgroup's memory.

// Where the channels of an input pixel start.
fn pixel_NUMBER(image: u32, y: u32, x: u32) -> u32 {
    switch P_FROM {
        case 2u: { return P_READ + (y * P_IW + x) * P_CI; }
        default: { return image * IMAGE + y * P_IW + x; }
    }
}

fn load_NUMBER(pixel: u32, channel: u32) -> f32 {
    switch P_FROM {
        case 0u: { return images[pixel + channel * P_IH * P_IW]; }
        case 1u: { return reconstructions[pixel + channel * P_IH * P_IW]; }
        default: { return memory[pixel + channel]; }
    }
}

fn store_NUMBER(image: u32, gy: u32, gx: u32, column: u32, sum: f32, real: bool) {
    let pixel = column / P_CO;
    let channel = column % P_CO;
    let y = gy * P_STEP + P_OY + pixel / P_SPREAD;
    let x = gx * P_STEP + P_OX + pixel % P_SPREAD;
    var v = sum;
    if !P_NORMED {
        v = activate_NUMBER(sum + weight(P_BIAS + channel / 4u)[channel % 4u]);
    }
    if real {
        switch P_TO {
            case 1u: { reconstructions[image * IMAGE + (channel * P_OH + y) * P_OW + x] = v; }
            default: { memory[P_WRITE + (y * P_OW + x) * P_CO + channel] = v; }
        }
    }
}
