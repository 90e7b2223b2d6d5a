//! The tile size of convolutions on GPUs: how many outputs a workgroup computes together.

/// Sides of the workgroup of a tiled kernel, along columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkgroupSides(pub usize, pub usize);

/// Sides of the workgroup for `rows` x `columns` outputs, of which an invocation owns 4x4: those that should suit, then
/// others.
pub(super) fn workgroup_sides(rows: usize, columns: usize) -> [WorkgroupSides; 2] {
    let (small, large) = (WorkgroupSides(8, 8), WorkgroupSides(16, 16));
    if rows >= 64 && columns >= 64 * 64 { [large, small] } else { [small, large] }
}
