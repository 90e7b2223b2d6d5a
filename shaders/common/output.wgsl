// The element of an output [N, CO, OH, OW] that an invocation of a naive kernel owns. The host declares LANES.

struct Output {
    n: u32,
    co: u32,
    oy: u32,
    ox: u32,
    at: u32,
    inside: bool,
}

fn output(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> Output {
    let at = (group.y * groups.x + group.x) * LANES + lane;
    return Output(at / (OW * OH * CO), at / (OW * OH) % CO, at / OW % OH, at % OW, at, at < N * CO * OH * OW);
}
