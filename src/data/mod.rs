//! Data sets: finding, fetching and checking them, reading image and label files, turning pixels into network input, and
//! the one-class protocol.

mod cifar;
mod dataset;
mod decoded;
mod error;
pub(crate) mod fetch;
mod folder;
mod idx;
mod images;
mod jpeg;
mod listing;
mod manifest;
mod memory;
mod mnist;
mod one_class;
mod own;
mod padding;
mod picture;
mod pictures;
mod preprocessing;
mod search;
mod source;
mod verify;

pub use dataset::{CLASSES, Dataset, Part, UnknownDataset};
pub use error::DataError;
pub use images::{Images, LabelledImages};
pub(crate) use internals::*;
pub(crate) use padding::levels;
pub use picture::{PictureError, PictureProblem};
pub use preprocessing::{Colour, Fit, Preprocessing, UnknownColour, UnknownFit};
pub use source::Source;
pub(crate) use verify::hex;

/// What is not of the public API: `pkdgan::unstable::data`.
pub(crate) mod internals {
    pub use super::folder::files_below;
    pub use super::idx::{Idx, IdxImages, MAX_VALUES, read_idx};
    pub use super::manifest::{Check, Content, Manifest, Packed, Packing};
    pub use super::memory::MemoryBudget;
    pub use super::one_class::{OneClass, SampleOrder, order};
    pub use super::own::OwnImages;
    pub use super::picture::{MAX_SIDE, read_picture, read_pixels};
    pub use super::pictures::Pictures;
    pub use super::preprocessing::PreprocessingInternals;
    pub use super::search::{CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folders};
    pub use super::verify::{Verified, verify};
}
