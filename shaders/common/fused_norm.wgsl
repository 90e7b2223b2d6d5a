// The norm of an image by its own statistics, in place; each invocation owns channels.

fn normNUMBER(lane: u32) {
    for (var channel = lane; channel < P_C; channel += WIDTH) {
        var sum = 0.0;
        for (var pixel = 0u; pixel < P_PIXELS; pixel++) {
            sum += memory[P_AT + pixel * P_C + channel];
        }
        let mean = sum / f32(P_PIXELS);
        var squares = 0.0;
        for (var pixel = 0u; pixel < P_PIXELS; pixel++) {
            let d = memory[P_AT + pixel * P_C + channel] - mean;
            squares += d * d;
        }
        let inverse = 1.0 / sqrt(squares / f32(P_PIXELS) + P_EPSILON);
        let factor = inverse * weight((P_SCALE + channel) / 4u)[(P_SCALE + channel) % 4u];
        let offset = weight((P_SHIFT + channel) / 4u)[(P_SHIFT + channel) % 4u];
        for (var pixel = 0u; pixel < P_PIXELS; pixel++) {
            let at = P_AT + pixel * P_C + channel;
            memory[at] = activate_NUMBER((memory[at] - mean) * factor + offset);
        }
    }
}
