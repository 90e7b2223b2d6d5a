// What the lanes of a workgroup of LANES give to each other. Every lane must call it.

var<workgroup> given: array<f32, LANES>;

// The number that lane `source` gives.
fn of_lane(number: f32, lane: u32, source: u32) -> f32 {
    given[lane] = number;
    workgroupBarrier();
    let taken = given[source];
    workgroupBarrier();
    return taken;
}
