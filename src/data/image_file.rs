//! Files of many images, told by their contents, whatever the name: IDX, NumPy's arrays and archives, Parquet.
//!
//! Images are given one by one, so that any number of them takes the same memory. The formats have files of their own.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::idx::{IdxImages, begins_idx};
use super::npy::{self, Header, NpyImages};
use super::npz::{Npz, begins_npz};
use super::parquet_images::{self, ParquetImages};
use super::picture::MAX_ROW;
use super::raw_image::RawImage;
use super::{DataError, PictureProblem};

/// A file of many images, open and known to hold some.
pub struct ImageFile(Format);

enum Format {
    Idx(IdxImages),
    Npy(NpyImages<BufReader<File>>),
    Npz(Box<Npz>),
    Parquet(ParquetImages),
}

/// What a file of many images holds of one.
#[derive(Debug)]
pub enum Stored {
    /// Its values.
    Raw(RawImage),
    /// The bytes of a picture file.
    Encoded(Vec<u8>),
}

/// An image of a file of many.
pub type OfMany = Result<Result<Stored, PictureProblem>, DataError>;

/// Takes the array that an image is of, where there are several, and the image; or why there are no more of that array. Breaks
/// where nothing more is wanted.
pub type TakeImage<'a> = dyn FnMut(Option<&Arc<str>>, OfMany) -> ControlFlow<()> + 'a;

impl ImageFile {
    /// Opens a file of many images; `None` where its first bytes are those of no such file.
    ///
    /// # Errors
    /// A file of such a format that holds no images, or cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let begins = file.fill_buf().map_err(failed)?;
        let format = if begins.starts_with(npy::MAGIC) {
            let header = Header::read(path, &mut file)?;
            Format::Npy(NpyImages::new(path, &header, file)?)
        } else if begins_npz(begins) {
            Format::Npz(Box::new(Npz::open(path, file)?))
        } else if begins.starts_with(parquet_images::MAGIC) {
            file.rewind().map_err(failed)?;
            Format::Parquet(ParquetImages::open(path, file.into_inner())?)
        } else if begins_idx(begins) {
            Format::Idx(IdxImages::new(path, file)?)
        } else {
            return Ok(None);
        };
        Ok(Some(Self(format)))
    }

    /// Gives each image, in order. An error stands in the place of the images that follow in the same array.
    pub fn each(self, take: &mut TakeImage) -> ControlFlow<()> {
        let raw = |image| Ok(Stored::Raw(image));
        match self.0 {
            Format::Idx(mut images) => {
                let [height, width] = images.size();
                let image = |bytes| RawImage { bytes, height, width, values: 1, wide: false };
                images.try_for_each(|bytes| take(None, bytes.map(|bytes| raw(image(bytes)))))
            }
            Format::Npy(mut images) => images.try_for_each(|image| take(None, image.map(raw))),
            Format::Npz(arrays) => arrays.each(&mut |name, image| take(Some(name), image.map(raw))),
            Format::Parquet(images) => images.each(&mut |row| {
                let stored = row.map(|bytes| match bytes {
                    None => Err(PictureProblem::NoBytes),
                    Some(bytes) if bytes.len() as u64 > MAX_ROW => Err(PictureProblem::LongRow),
                    Some(bytes) => Ok(Stored::Encoded(bytes.to_vec())),
                });
                take(None, stored)
            }),
        }
    }
}

impl Stored {
    /// Bytes that it takes.
    pub fn len(&self) -> usize {
        match self {
            Self::Raw(image) => image.bytes.len(),
            Self::Encoded(bytes) => bytes.len(),
        }
    }

    /// Whether it takes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
