//! Data sets: reading image and label files, turning pixels into network input, and the one-class protocol.

mod error;
mod idx;
mod images;
mod mnist;
mod one_class;

pub use error::DataError;
pub use idx::{Idx, MAX_VALUES, read_idx};
pub use images::{Images, LabelledImages};
pub use mnist::{CLASSES, Dataset, Part, UnknownDataset};
pub use one_class::{OneClass, order};
