//! How small a defect a detector finds, without a single real one: defects painted into normal images that training did
//! not see. It knows no network.

mod defect;
mod region;
mod set;

pub use defect::{Contrast, Defect, Kind, Size};
pub use set::DefectSet;
