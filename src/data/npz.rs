//! NumPy's `.npz` format: a ZIP archive of `.npy` files, packed or not. Arrays are unpacked while they are read.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::ZipArchive;
use zip::result::ZipError;

use super::DataError;
use super::npy::{ArrayProblem, Header, NpyImages, array};
use super::raw_image::RawImage;
use crate::message::shortened;

/// How an archive begins, and the names of arrays in it end.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
const ENDING: &str = ".npy";
/// Most files of an archive.
const MAX_ARRAYS: usize = 1 << 16;

/// Whether these first bytes of an archive say that its first file is a NumPy array.
pub(super) fn begins_npz(beginning: &[u8]) -> bool {
    let name_length = beginning.get(26..28).map_or(0, |length| usize::from(u16::from_le_bytes([length[0], length[1]])));
    beginning.starts_with(MAGIC)
        && beginning.get(30..30 + name_length).is_some_and(|name| name.ends_with(ENDING.as_bytes()))
}

/// Takes an image of an array, or why the array ends; breaks where nothing more is wanted.
pub(super) type Take<'a> = dyn FnMut(&Arc<str>, Result<RawImage, DataError>) -> ControlFlow<()> + 'a;

/// The arrays of images in an archive.
pub(super) struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// Those with images: place in the archive and name, without the ending.
    arrays: Vec<(usize, Arc<str>)>,
}

impl Npz {
    /// Looks at the headers of all arrays. Those of three dimensions and more hold images, or those of two where there are no
    /// others: labels and names may lie beside images.
    ///
    /// # Errors
    /// What is no archive, or has no array of images.
    pub(super) fn open(path: &Path, file: BufReader<File>) -> Result<Self, DataError> {
        let mut archive = ZipArchive::new(file).map_err(|error| fault(path, &error))?;
        let mut found = Vec::new();
        if archive.len() > MAX_ARRAYS {
            return Err(array(path, ArrayProblem::Archive(format!("more than {MAX_ARRAYS} files"))));
        }
        for place in 0..archive.len() {
            // A name that is no text is none of NumPy's.
            let name = archive.name_for_index(place).and_then(Result::ok);
            let Some(name) = name.as_deref().and_then(|name| name.strip_suffix(ENDING)) else { continue };
            let name: Arc<str> = shortened(name).replace(char::is_control, "\u{fffd}").into();
            // What has no header that can be read is said when its turn comes.
            let header = member(&mut archive, path, place).and_then(|mut input| Header::read(path, &mut input));
            found.push((header.map_or(usize::MAX, |header| header.shape.len()), place, name));
        }
        let count = found.len();
        let wanted = if found.iter().any(|(rank, ..)| (3..usize::MAX).contains(rank)) { 3 } else { 2 };
        found.retain(|(rank, ..)| *rank >= wanted);
        if found.is_empty() {
            return Err(array(path, ArrayProblem::NoImages(count)));
        }
        let arrays = found.into_iter().map(|(_, place, name)| (place, name)).collect();
        Ok(Self { path: path.to_owned(), archive, arrays })
    }

    /// The images of each array. An error ends an array; the next ones follow.
    pub(super) fn each(mut self, take: &mut Take) -> ControlFlow<()> {
        for (place, name) in self.arrays {
            let mut path = self.path.clone().into_os_string();
            path.push(format!("#{name}"));
            let path = PathBuf::from(path);
            let images = member(&mut self.archive, &path, place).and_then(|mut input| {
                let header = Header::read(&path, &mut input)?;
                NpyImages::new(&path, &header, input)
            });
            match images {
                Ok(mut images) => images.try_for_each(|image| take(&name, image))?,
                Err(error) => take(&name, Err(error))?,
            }
        }
        ControlFlow::Continue(())
    }
}

fn member<'a, R: Read + Seek>(
    archive: &'a mut ZipArchive<R>,
    path: &Path,
    place: usize,
) -> Result<BufReader<impl Read + use<'a, R>>, DataError> {
    let input = archive.by_index(place).map_err(|error| fault(path, &error))?;
    Ok(BufReader::with_capacity(1 << 16, input))
}

fn fault(path: &Path, error: &ZipError) -> DataError {
    let words = error.to_string().replace(char::is_control, " ");
    array(path, ArrayProblem::Archive(shortened(&words).into_owned()))
}
