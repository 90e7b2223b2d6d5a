//! The tile size of convolutions on GPUs: how many outputs a workgroup computes together.

use std::fmt;

use crate::engine::kernel::Dispatch;

/// A workgroup of a tiled kernel: its sides along columns and rows, of which an invocation owns 4x4, and the slices that its sum
/// is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkgroupTile {
    x: usize,
    y: usize,
    slices: usize,
}

/// Of few workgroups, registers and workgroup memory for many at once; large tiles, which load less for each product; and
/// small ones that share the sum, which are many and soon done.
const SMALL: WorkgroupTile = WorkgroupTile { x: 8, y: 8, slices: 1 };
const LARGE: WorkgroupTile = WorkgroupTile { x: 16, y: 16, slices: 1 };
const SLICED: WorkgroupTile = WorkgroupTile { x: 4, y: 4, slices: 4 };

impl WorkgroupTile {
    /// For so many products of matrices, each `[rows, columns]` outputs that are sums of so many terms: the tile that should
    /// suit, then others.
    pub(super) fn candidates(products: usize, [rows, columns]: [usize; 2], terms: usize) -> [Self; 3] {
        /// Workgroups that leave a large GPU's multiprocessors idle.
        const FEW: usize = 128;
        let small = products * rows.div_ceil(SMALL.rows()) * columns.div_ceil(SMALL.columns());
        // A large tile that channels do not fill computes more in vain than it saves.
        if rows.is_multiple_of(LARGE.rows()) && columns >= 64 * LARGE.columns() {
            [LARGE, SMALL, SLICED]
        } else if small < FEW && terms >= 2 * SLICED.terms() {
            [SLICED, SMALL, LARGE]
        } else {
            [SMALL, LARGE, SLICED]
        }
    }

    /// Rows of a workgroup.
    pub(super) fn rows(&self) -> usize {
        4 * self.y
    }

    /// Columns of a workgroup.
    pub(super) fn columns(&self) -> usize {
        4 * self.x
    }

    /// Terms that are staged at once: as many as 4 KiB of workgroup memory hold, so that an old GPU has four waves in a SIMD.
    fn terms(&self) -> usize {
        if self.slices > 1 { 8 * self.slices } else { 16 }
    }

    pub(super) fn declare(&self, dispatch: Dispatch) -> Dispatch {
        let dispatch = dispatch.with("WX", self.x).with("WY", self.y).with("WZ", self.slices);
        // Of what is staged, 16 vectors of rows and 64 columns lie in an inner array.
        dispatch.with("TERMS", self.terms()).with("STAGED", self.terms() * self.y / 16)
    }
}

impl fmt::Display for WorkgroupTile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}", self.x, self.y)?;
        if self.slices > 1 { write!(f, "x{}", self.slices) } else { Ok(()) }
    }
}
