//! Images as bytes, in memory or in a file that is read by offset. How a network's input is made of them stands in
//! `padding.rs`.

use std::borrow::Cow;
use std::sync::Arc;

use super::DataError;
use super::decoded::Decoded;

/// Images of one shape, one byte per value: `count` x `channels` x `height` x `width`, the width running fastest.
///
/// Those of published data sets lie in memory, pictures of one's own in a file. A clone shares them.
#[derive(Debug, Clone)]
pub struct Images {
    channels: usize,
    height: usize,
    width: usize,
    parts: Vec<Part>,
}

/// Images with the class of each.
#[derive(Debug, Clone)]
pub struct LabelledImages {
    /// The images.
    pub images: Images,
    /// The class of each image, as many as there are images.
    pub labels: Vec<u8>,
}

/// Images that follow one another in one place.
#[derive(Debug, Clone)]
struct Part {
    pixels: Pixels,
    count: usize,
    /// Where each lies among those of the place; all of them in their order if none.
    places: Option<Arc<[u32]>>,
}

#[derive(Debug, Clone)]
enum Pixels {
    /// With the values from one image to the next.
    Memory(Arc<Vec<u8>>, usize),
    File(Arc<Decoded>),
}

impl Images {
    /// Takes `count * channels * height * width` pixels as images.
    ///
    /// # Errors
    /// Another number of pixels is [`DataError::PixelCount`].
    pub fn new(count: usize, channels: usize, height: usize, width: usize, pixels: Vec<u8>) -> Result<Self, DataError> {
        let expected = [channels, height, width].iter().try_fold(count, |product, &dim| product.checked_mul(dim));
        if expected == Some(pixels.len()) {
            let pixels = Pixels::Memory(Arc::new(pixels), channels * height * width);
            Ok(Self { channels, height, width, parts: vec![Part { pixels, count, places: None }] })
        } else {
            Err(DataError::PixelCount { found: pixels.len(), expected: expected.unwrap_or(usize::MAX) })
        }
    }

    /// The images at some places of a file.
    pub(super) fn in_file([channels, height, width]: [usize; 3], file: Arc<Decoded>, places: Arc<[u32]>) -> Self {
        let part = Part { pixels: Pixels::File(file), count: places.len(), places: Some(places) };
        Self { channels, height, width, parts: vec![part] }
    }

    /// The images with some indices, in that order, in the same memory or file.
    ///
    /// # Errors
    /// An index past the last image.
    pub(super) fn select(&self, indices: &[usize]) -> Result<Self, DataError> {
        let mut parts: Vec<Part> = Vec::new();
        let found = indices.iter().map(|&index| self.find(index)).collect::<Result<Vec<_>, _>>()?;
        for run in found.chunk_by(|(one, _), (other, _)| std::ptr::eq(*one, *other)) {
            let places: Arc<[u32]> = run.iter().map(|&(_, place)| place as u32).collect();
            parts.push(Part { pixels: run[0].0.clone(), count: places.len(), places: Some(places) });
        }
        Ok(Self { parts, ..self.clone() })
    }

    /// These, then others of the same shape.
    pub(super) fn then(mut self, others: Self) -> Self {
        self.parts.extend(others.parts);
        self
    }

    /// The first of the values of each pixel.
    pub(super) fn first_channel(&self) -> Self {
        Self { channels: 1, ..self.clone() }
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.parts.iter().map(|part| part.count).sum()
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

    /// The values of image `index`, `channels * height * width` of them: channel by channel, row by row.
    ///
    /// # Errors
    /// An index past the last image is [`DataError::Index`]. Images in a file may be unreadable.
    pub fn image(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let len = self.channels * self.height * self.width;
        match self.find(index)? {
            (Pixels::Memory(pixels, stride), place) => Ok(Cow::Borrowed(&pixels[place * stride..][..len])),
            (Pixels::File(file), place) => {
                let mut values = vec![0; len];
                file.read(place, &mut values)?;
                Ok(Cow::Owned(values))
            }
        }
    }

    /// Reads the values of image `index`, as many as [`Self::image`] gives, without taking memory.
    pub(super) fn read(&self, index: usize, values: &mut [u8]) -> Result<(), DataError> {
        match self.find(index)? {
            (Pixels::Memory(pixels, stride), place) => {
                values.copy_from_slice(&pixels[place * stride..][..values.len()])
            }
            (Pixels::File(file), place) => file.read(place, values)?,
        }
        Ok(())
    }

    /// Where an image lies.
    fn find(&self, index: usize) -> Result<(&Pixels, usize), DataError> {
        let mut first = 0;
        for part in &self.parts {
            if let Some(index) = index.checked_sub(first).filter(|index| *index < part.count) {
                return Ok((&part.pixels, part.places.as_ref().map_or(index, |places| places[index] as usize)));
            }
            first += part.count;
        }
        Err(DataError::Index { index, count: first })
    }
}
