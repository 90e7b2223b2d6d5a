//! Data sets: finding, fetching and checking them, reading image and label files, turning pixels into network input, and
//! the one-class protocol.

mod cifar;
mod dataset;
mod error;
pub mod fetch;
mod folder;
mod idx;
mod images;
mod manifest;
mod mnist;
mod one_class;
mod picture;
mod preprocessing;
mod search;
mod verify;

pub use dataset::{CLASSES, Dataset, Part, UnknownDataset};
pub use error::DataError;
pub use folder::files_below;
pub use idx::{Idx, MAX_VALUES, read_idx};
pub use images::{Images, LabelledImages};
pub use manifest::{Check, Content, Manifest, Packed, Packing};
pub use one_class::{OneClass, order};
pub use picture::{MAX_SIDE, PictureError, PictureProblem, read_picture};
pub use preprocessing::{Fit, Preprocessing, UnknownFit};
pub use search::{DATA_VARIABLE, cache_folder, data_folders};
pub(crate) use verify::hex;
pub use verify::{Verified, verify};
