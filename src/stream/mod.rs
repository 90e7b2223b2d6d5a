//! Scoring pictures as they are found: any number of them, in order, in memory that does not grow with their number.
//!
//! One thread lists what there is. Others take chunks of it, decode the pictures and score them; a device is
//! shared by them, so that some decode while one has the device at work.

mod detector;
mod error;
mod inspect;
mod list;
mod maps;
mod ordered;
mod places;
mod set;

pub use detector::{BATCH, SharedDetector};
pub use error::{PictureFault, StreamError};
pub use inspect::{Beside, Inspected, InspectedPictures, Seen, Way, inspect, inspect_files, score_pictures};
pub use list::{Content, Found, Picture, Sources};
pub use maps::{Maps, map_file};
pub use places::{PictureBox, Places};
pub use set::{Faults, PictureSet, PixelArray, score_each, score_set};
