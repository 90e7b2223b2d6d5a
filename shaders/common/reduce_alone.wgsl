// reduce.wgsl where every invocation has all of its numbers itself.

fn shared_sum2(lane: u32, value: vec2<f32>) -> vec2<f32> {
    return value;
}

fn shared_sum(lane: u32, value: f32) -> f32 {
    return value;
}
