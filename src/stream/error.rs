//! What can go wrong while many pictures are scored: with one picture, or with all.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::Picture;
use crate::data::{DataError, PictureError};
use crate::run::WriteError;
use crate::scoring::ScoringError;

/// Why a picture has no score; the others go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureFault {
    /// A picture file that cannot be used.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A file of many images that cannot be used, or not to its end.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The list of files breaks off.
    #[error("the list on standard input cannot be read on: {0}")]
    List(io::Error),
    /// Its map cannot be written, for its name.
    #[error("{picture}: {source}")]
    Map {
        /// The picture.
        picture: Picture,
        /// The failure.
        source: Box<StreamError>,
    },
    /// The network makes no number of it.
    #[error("{picture}: its score is {score}; the network diverged or its file is damaged, train again")]
    NotFinite {
        /// The picture.
        picture: Picture,
        /// The score.
        score: f32,
    },
}

impl PictureFault {
    /// Whether the file is none that is wanted, so that nothing is wrong with it.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Self::Picture(error) if error.problem.is_left_out())
    }
}

/// What ends the scoring of all pictures.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The model or the device failed.
    #[error(transparent)]
    Scoring(#[from] Arc<ScoringError>),
    /// The network does not take what the preprocessing makes of pictures.
    #[error(transparent)]
    Preprocessing(#[from] DataError),
    /// Not a single thread could be started.
    #[error("no thread can be started: {0}; let other processes end, or raise the limit (ulimit -u)")]
    Thread(io::Error),
    /// A picture has no score, where all must have one.
    #[error(transparent)]
    Picture(Box<PictureFault>),
    /// A map cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A folder for maps cannot be made.
    #[error("{}: cannot be made: {source}; choose a folder that may be written", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
}

impl StreamError {
    /// Whether it is the name of one file that the file system does not take.
    pub(super) fn is_of_name(&self) -> bool {
        let (Self::Write(WriteError { source, .. }) | Self::Folder { source, .. }) = self else { return false };
        matches!(source.kind(), io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput)
    }
}
