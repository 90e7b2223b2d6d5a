//! The networks: plain layer tables, the variables they need, and the graphs they make.

mod ede_gan;
mod network;
mod spec;

pub use ede_gan::{EdeGan, Generated, discriminator, encoder_and_decoder};
pub use network::{Named, Network, NormMode};
pub use spec::{Layer, LayerFigures, LayerKind, NetworkSpec};
