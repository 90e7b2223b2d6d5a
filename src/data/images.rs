//! Images as bytes. How a network's input is made of them stands in `padding.rs`.

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
}
