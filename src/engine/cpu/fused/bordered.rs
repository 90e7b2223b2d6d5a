//! Activations in memory with a border of zeros, so that no window asks whether it is inside. It knows no layer's sums.

use std::array;
use std::ops::Range;

use crate::engine::PlannedLayer;

/// Activations `[H, W, C]` with a border of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bordered {
    pub channels: usize,
    height: usize,
    width: usize,
    /// Rows above, below, and columns to the left and right.
    pub above: usize,
    below: usize,
    pub left: usize,
    right: usize,
}

impl Bordered {
    /// `[C, H, W]` without a border.
    pub(super) fn without([channels, height, width]: [usize; 3]) -> Self {
        Self { channels, height, width, above: 0, below: 0, left: 0, right: 0 }
    }

    /// A layer's input, with the border that its windows reach into.
    pub(super) fn read_by(planned: &PlannedLayer) -> Self {
        let input = Self::without(planned.layer.input);
        planned.gemms.iter().fold(input, |input, gemm| {
            let [before, after] = [0, 1].map(|side| {
                [0, 1].map(|axis| {
                    let size = [input.height, input.width][axis] as isize;
                    let end = ((gemm.grid[axis] - 1) * gemm.stride + gemm.window[axis]) as isize;
                    let out = if side == 0 { gemm.padding[axis] } else { end - gemm.padding[axis] - size };
                    out.max(0) as usize
                })
            });
            Self {
                above: input.above.max(before[0]),
                left: input.left.max(before[1]),
                below: input.below.max(after[0]),
                right: input.right.max(after[1]),
                ..input
            }
        })
    }

    /// Numbers in all.
    pub(super) fn len(&self) -> usize {
        (self.above + self.height + self.below) * self.row()
    }

    /// Numbers of a row.
    pub(super) fn row(&self) -> usize {
        (self.left + self.width + self.right) * self.channels
    }

    /// Where a pixel starts.
    pub(super) fn at(&self, y: usize, x: usize) -> usize {
        (y + self.above) * self.row() + (x + self.left) * self.channels
    }

    /// Sets the inside of `L` images, whose numbers lie one per lane, from `[L, C, H, W]`.
    #[inline(always)]
    pub(super) fn fill<const L: usize>(&self, inside: &mut [f32], images: &[f32]) {
        let Self { channels, height, width, .. } = *self;
        let (inside, _) = inside.as_chunks_mut::<L>();
        for channel in 0..channels {
            for y in 0..height {
                let row = |image: usize| &images[((image * channels + channel) * height + y) * width..][..width];
                let rows: [&[f32]; L] = array::from_fn(row);
                let pixels = inside[self.at(y, 0)..][..width * channels].chunks_exact_mut(channels);
                for (x, pixel) in pixels.enumerate() {
                    pixel[channel] = array::from_fn(|image| rows[image][x]);
                }
            }
        }
    }

    /// Copies the inside of image `lane` of `lanes` to `[C, H, W]`.
    pub(super) fn take(&self, inside: &[f32], planes: &mut [f32], [lane, lanes]: [usize; 2]) {
        let pixel = self.channels * lanes;
        for (channel, plane) in planes.chunks_exact_mut(self.height * self.width).enumerate() {
            for (y, row) in plane.chunks_exact_mut(self.width).enumerate() {
                let pixels = inside[self.at(y, 0) * lanes..][..self.width * pixel].chunks_exact(pixel);
                pixels.zip(row).for_each(|(pixel, v)| *v = pixel[channel * lanes + lane]);
            }
        }
    }

    /// The inside, row by row.
    #[inline(always)]
    pub(super) fn rows(self) -> impl Iterator<Item = Range<usize>> + Clone {
        (0..self.height).map(move |y| self.at(y, 0)..self.at(y, 0) + self.width * self.channels)
    }

    /// Pixels of the inside.
    pub(super) fn pixels(&self) -> usize {
        self.height * self.width
    }
}
