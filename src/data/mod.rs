//! Data sets: finding, fetching and checking them, reading image and label files, turning pixels into network input, and
//! the one-class protocol.

mod cifar;
mod dataset;
mod decoded;
mod error;
pub(crate) mod fetch;
mod folder;
mod foreign;
mod ground_truth;
mod groups;
mod hybrid;
mod idx;
mod image_file;
mod images;
mod jpeg;
mod jpeg_scan;
mod kept_groups;
mod layout;
mod listing;
mod manifest;
mod memory;
mod mnist;
mod near_copies;
mod npy;
mod npz;
mod one_class;
mod own;
mod padding;
mod parquet_images;
mod patterns;
mod picture;
mod pictures;
mod placement;
mod prepared;
mod preprocessing;
mod raw_image;
mod remarks;
mod search;
mod source;
mod structure;
mod thrift;
mod values;
mod verify;

pub use dataset::{CLASSES, Dataset, Part, UnknownDataset};
pub use error::DataError;
pub use groups::{GroupBy, UnknownGroups};
pub use images::{Images, LabelledImages};
pub(crate) use internals::*;
pub use npy::ArrayProblem;
pub(crate) use one_class::at_most;
pub(crate) use padding::{append_signed, levels};
pub use parquet_images::ParquetProblem;
pub use picture::{PictureError, PictureProblem};
pub use preprocessing::{Colour, Fit, Preprocessing, UnknownColour, UnknownFit};
pub use remarks::Remarks;
pub use source::Source;
pub(crate) use values::opaque;
pub use values::{Range, UnknownRange};
pub(crate) use verify::hex;

/// What is not of the public API: `pkdgan::unstable::data`.
pub(crate) mod internals {
    pub use super::folder::{Search, files_below};
    pub use super::ground_truth::{GroundTruth, KnownPlaces, masks_beside};
    pub use super::groups::Groups;
    pub use super::idx::{Idx, MAX_VALUES, read_idx};
    pub use super::image_file::{ImageFile, OfMany, Stored, TakeImage};
    pub use super::layout::Layout;
    pub use super::manifest::{Check, Content, Manifest, Packed, Packing};
    pub use super::memory::{MemoryBudget, machine_memory};
    pub use super::one_class::{OneClass, SampleOrder, images_for, order};
    pub use super::own::{HoldOut, Independence, OwnFolders, OwnImages};
    pub use super::patterns::{PatternError, Patterns};
    pub use super::picture::{
        FORMATS, MAX_FILE, MAX_SIDE, begins_picture, picture_of, prepared_of, read_noted, read_picture, read_pixels,
        read_prepared,
    };
    pub use super::pictures::Pictures;
    pub use super::placement::Placement;
    pub use super::prepared::{KeptPicture, Prepared};
    pub use super::preprocessing::{GREY, PreprocessingInternals};
    pub use super::raw_image::RawImage;
    pub use super::remarks::{LeftOut, Noted};
    pub use super::search::{CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folders};
    pub use super::verify::{Verified, verify};
}
