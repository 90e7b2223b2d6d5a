//! Images as bytes, and the numbers that a network takes in their place.

use super::DataError;

/// Images of one shape, one byte per value: `count` x `channels` x `height` x `width`, the width running fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

/// Images with the class of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImages {
    /// The images.
    pub images: Images,
    /// The class of each image, as many as there are images.
    pub labels: Vec<u8>,
}

impl Images {
    /// Takes `count * channels * height * width` pixels as images.
    ///
    /// # Errors
    /// Another number of pixels is [`DataError::PixelCount`].
    pub fn new(count: usize, channels: usize, height: usize, width: usize, pixels: Vec<u8>) -> Result<Self, DataError> {
        let expected = [channels, height, width].iter().try_fold(count, |product, &dim| product.checked_mul(dim));
        if expected == Some(pixels.len()) {
            Ok(Self { count, channels, height, width, pixels })
        } else {
            Err(DataError::PixelCount { found: pixels.len(), expected: expected.unwrap_or(usize::MAX) })
        }
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values per pixel: 1 for grey images, 3 for colours.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Height of each image, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of each image, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, image by image, channel by channel, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The values of image `index`, `channels * height * width` of them.
    ///
    /// # Errors
    /// An index past the last image is [`DataError::Index`].
    pub fn image(&self, index: usize) -> Result<&[u8], DataError> {
        let size = self.channels * self.height * self.width;
        let start = index.checked_mul(size).filter(|_| index < self.count);
        start
            .and_then(|start| self.pixels.get(start..start + size))
            .ok_or(DataError::Index { index, count: self.count })
    }

    /// The same images with one value a pixel, where all values of every pixel are equal.
    pub fn grey(&self) -> Option<Self> {
        let plane = self.height * self.width;
        let mut pixels = Vec::with_capacity(self.count * plane);
        for image in self.pixels.chunks_exact((self.channels * plane).max(1)) {
            let (first, rest) = image.split_at(plane);
            if rest.chunks_exact(plane).any(|other| other != first) {
                return None;
            }
            pixels.extend_from_slice(first);
        }
        Self::new(self.count, 1, self.height, self.width, pixels).ok()
    }

    /// Network input of the images at `indices`: values in [-1, 1] (0 becomes -1, 255 becomes 1), each image centred in
    /// a square of `side` pixels whose border is background (-1). Shape `indices.len()` x channels x side x side.
    ///
    /// An odd margin is larger by one pixel below and to the right.
    ///
    /// # Errors
    /// An index past the last image, or images larger than `side`.
    pub fn to_signed_padded(&self, indices: &[usize], side: usize) -> Result<Vec<f32>, DataError> {
        let Self { channels, height, width, .. } = *self;
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
