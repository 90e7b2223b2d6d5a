//! Folders of pictures: decoded to what a network takes, the unusable ones set aside.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decoded::{Became, Decoded};
use super::listing::Listing;
use super::{Colour, DataError, Images, LeftOut, Noted, PictureError, Preprocessing, Search};

/// Of the files below a folder at most one in so many may be unusable.
const SKIPPED_OF: usize = 20;

/// The pictures below a folder.
#[derive(Debug)]
pub struct Pictures {
    /// The usable ones, scaled.
    pub images: Images,
    /// Where each lies, sorted by name.
    pub paths: Vec<PathBuf>,
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
    /// How many those are, and which files are none that are wanted.
    pub left_out: LeftOut,
    /// What is worth knowing of the usable ones.
    pub noted: Noted,
    decoded: Arc<Decoded>,
}

impl Pictures {
    /// Reads every wanted file below `folder` as a picture; `progress` hears how many of how many are decoded, which none
    /// are that were kept from an earlier time. What comes of it does not depend on the number of threads.
    ///
    /// # Errors
    /// No such folder, fewer than `least` usable pictures, and more than 5 % of unusable files, the first of which are
    /// named. No place or room for the decoded pictures.
    pub fn read(
        folder: &Path,
        preprocessing: &Preprocessing,
        least: usize,
        search: &Search,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        let mut listing = Listing::of(folder, search)?;
        let (decoded, problems) = match kept(&listing, preprocessing) {
            Some(kept) => kept,
            None => Decoded::make(&listing, preprocessing, progress)?,
        };
        let (mut skipped, mut left_out) = (Vec::new(), LeftOut::default());
        for error in std::mem::take(&mut listing.problems).into_iter().chain(problems) {
            left_out.add(&error);
            if !error.problem.is_left_out() {
                skipped.push(error);
            }
        }
        let folder = folder.to_owned();
        let usable = |became: &Became| *became != Became::Nothing;
        let places: Arc<[u32]> = (0..).zip(decoded.became()).filter(|(_, one)| usable(one)).map(|(at, _)| at).collect();
        let all = places.len() + skipped.len();
        if skipped.len() * SKIPPED_OF > all {
            return Err(DataError::Unusable { folder, all, skipped });
        }
        if places.len() < least {
            return Err(DataError::TooFewPictures { folder, usable: places.len(), least });
        }
        let files = listing.files.into_iter().zip(decoded.became());
        let paths = files.filter(|(_, one)| usable(one)).map(|(path, _)| path).collect();
        let &Preprocessing { channels, height, width, .. } = preprocessing;
        let (noted, decoded) = (*decoded.noted(), Arc::new(decoded));
        let images = Images::in_file([channels, height, width], decoded.clone(), places);
        Ok(Self { images, paths, skipped, left_out, noted, decoded })
    }

    /// Whether no pixel of any picture has a colour.
    pub(super) fn are_grey(&self) -> bool {
        self.decoded.are_grey()
    }

    /// Calls `take` with the SHA-256 of each picture's pixels, in order: of one value a pixel where none has a colour.
    pub(super) fn hashes(&self, take: impl FnMut(&[u8])) -> Result<(), DataError> {
        self.decoded.hashes(take)
    }
}

/// What was kept of a folder's pictures. Those that were decoded with colours, and have none, are also what a network
/// takes that sees brightness alone.
fn kept(listing: &Listing, preprocessing: &Preprocessing) -> Option<(Decoded, Vec<PictureError>)> {
    let without_colours = || {
        let wide = Preprocessing { channels: Colour::Rgb.channels(), ..*preprocessing };
        let kept = (preprocessing.channels == 1).then(|| Decoded::kept(listing, &wide))?;
        kept.filter(|(decoded, _)| decoded.are_grey())
    };
    without_colours().or_else(|| Decoded::kept(listing, preprocessing))
}
