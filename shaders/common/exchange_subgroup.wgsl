// exchange.wgsl where the lanes of a workgroup are one subgroup.

fn of_lane(number: f32, lane: u32, source: u32) -> f32 {
    return subgroupShuffle(number, source);
}
