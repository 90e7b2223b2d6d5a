//! From bytes to a network's input: a border around images that are smaller, and signed numbers. It knows no files.

use super::{DataError, Images};

/// What a byte stands for: 0 for -1, 255 for 1.
fn level(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// What each byte stands for in a network's input.
pub(crate) fn levels() -> [f32; 256] {
    std::array::from_fn(|byte| level(byte as u8))
}

/// Appends the network input of one image to `input`: its bytes, `channels` x `height` x `width` with at most `side` rows and
/// columns, as [`Images::to_signed_padded`] makes numbers of them.
pub(crate) fn append_signed(bytes: &[u8], [channels, height, width]: [usize; 3], side: usize, input: &mut Vec<f32>) {
    if (height, width) == (side, side) {
        return input.extend(bytes.iter().map(|&byte| level(byte)));
    }
    let (top, left) = ((side - height) / 2, (side - width) / 2);
    let start = input.len();
    input.resize(start + channels * side * side, level(0));
    let planes = input[start..].chunks_exact_mut(side * side);
    let targets = planes.flat_map(|plane| plane.chunks_exact_mut(side).skip(top).take(height));
    for (row, target) in bytes.chunks_exact(width).zip(targets) {
        row.iter().zip(&mut target[left..]).for_each(|(&byte, number)| *number = level(byte));
    }
}

impl Images {
    /// The bytes of image `index`, centred in a square of `side` pixels whose border is background (0): as many as
    /// `square` has, channels x side x side. Takes no memory, unless a file holds images that are smaller.
    ///
    /// An odd margin is larger by one pixel below and to the right.
    ///
    /// # Errors
    /// An index past the last image, images larger than `side`, or unreadable ones.
    pub(crate) fn padded(&self, index: usize, side: usize, square: &mut [u8]) -> Result<(), DataError> {
        let (height, width) = (self.height(), self.width());
        if height > side || width > side {
            return Err(DataError::Side { height, width, side });
        }
        if (height, width) == (side, side) {
            return self.read(index, square);
        }
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        square.fill(0);
        let values = self.image(index)?;
        if values.is_empty() {
            return Ok(());
        }
        let planes = square.chunks_exact_mut(side * side);
        let targets = planes.flat_map(|plane| plane.chunks_exact_mut(side).skip(top).take(height));
        for (row, target) in values.chunks_exact(width).zip(targets) {
            target[left..left + width].copy_from_slice(row);
        }
        Ok(())
    }

    /// Network input of the images at `indices`: values in [-1, 1] (0 becomes -1, 255 becomes 1), each image centred in
    /// a square of `side` pixels whose border is background (-1). Shape `indices.len()` x channels x side x side.
    ///
    /// An odd margin is larger by one pixel below and to the right.
    ///
    /// # Errors
    /// An index past the last image, images larger than `side`, or unreadable ones.
    pub fn to_signed_padded(&self, indices: &[usize], side: usize) -> Result<Vec<f32>, DataError> {
        let mut square = vec![0; self.channels() * side * side];
        let mut input = Vec::with_capacity(indices.len() * square.len());
        for &index in indices {
            self.padded(index, side, &mut square)?;
            input.extend(square.iter().map(|&byte| level(byte)));
        }
        Ok(input)
    }
}
