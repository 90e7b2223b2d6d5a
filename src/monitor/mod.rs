//! What a stream of scores says of the promise that calibration made: how many images are called anomalous, and whether the
//! stream still looks like the held-out images. It knows scores, no images.

mod drift;
mod rate;

pub use drift::{Direction, Drift, LEVEL, MAX_SCALE, Shift, WINDOW};
pub use rate::Rate;
