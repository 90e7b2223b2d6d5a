// reduce.wgsl where the WIDTH invocations of a workgroup are one subgroup: no memory and no barrier. The order is that of reduce.wgsl.

fn shared_sum2(lane: u32, value: vec2<f32>) -> vec2<f32> {
    var sum = value;
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        sum += subgroupShuffleXor(sum, half);
    }
    return sum;
}

fn shared_sum(lane: u32, value: f32) -> f32 {
    var sum = value;
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        sum += subgroupShuffleXor(sum, half);
    }
    return sum;
}
