//! The networks: plain layer tables, the variables they need, and the graphs they make.

mod ede_gan;
mod network;
mod spec;

pub use ede_gan::{Architecture, EdeGan, Generated, Shrink};
pub use network::{Initial, Named, Network, NormMode};
pub use spec::{Layer, LayerFigures, LayerKind, NetworkSpec};
