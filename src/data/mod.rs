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
pub use folder::files_below;
pub use idx::{Idx, IdxImages, MAX_VALUES, read_idx};
pub use images::{Images, LabelledImages};
pub use manifest::{Check, Content, Manifest, Packed, Packing};
pub use one_class::{OneClass, order};
pub use own::OwnImages;
pub use picture::{MAX_SIDE, PictureError, PictureProblem, read_picture};
pub use pictures::Pictures;
pub use preprocessing::{Colour, Fit, Preprocessing, UnknownColour, UnknownFit};
pub use search::{CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folders};
pub use source::Source;
pub(crate) use verify::hex;
pub use verify::{Verified, verify};
