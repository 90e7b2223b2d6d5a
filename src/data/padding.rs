//! From bytes to a network's input: signed numbers, and a border around images that are smaller. It knows no files.

use super::{DataError, Images};

impl Images {
    /// Network input of the images at `indices`: values in [-1, 1] (0 becomes -1, 255 becomes 1), each image centred in
    /// a square of `side` pixels whose border is background (-1). Shape `indices.len()` x channels x side x side.
    ///
    /// An odd margin is larger by one pixel below and to the right.
    ///
    /// # Errors
    /// An index past the last image, or images larger than `side`.
    pub fn to_signed_padded(&self, indices: &[usize], side: usize) -> Result<Vec<f32>, DataError> {
        let (channels, height, width) = (self.channels(), self.height(), self.width());
        if height > side || width > side {
            return Err(DataError::Side { height, width, side });
        }
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let mut input = vec![-1.0; indices.len() * channels * side * side];
        if input.is_empty() || height == 0 || width == 0 {
            return Ok(input);
        }
        for (&index, square) in indices.iter().zip(input.chunks_exact_mut(channels * side * side)) {
            let rows = self.image(index)?.chunks_exact(width);
            let squares = square.chunks_exact_mut(side * side);
            let targets = squares.flat_map(|plane| plane.chunks_exact_mut(side).skip(top).take(height));
            for (row, target) in rows.zip(targets) {
                for (&value, signed) in row.iter().zip(&mut target[left..]) {
                    *signed = f32::from(value) / 127.5 - 1.0;
                }
            }
        }
        Ok(input)
    }
}
