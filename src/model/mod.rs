//! The networks: plain layer tables, the variables they need, the graphs they make, and the files that hold them.

mod ede_gan;
mod file;
mod network;
mod spec;
mod statistics;

pub use ede_gan::{Architecture, EdeGan, EncoderLayer, Generated};
pub use file::{ModelFile, Normal, arrange, named};
pub use network::{Initial, Named, Network, NormMode};
pub use spec::{Layer, LayerFigures, LayerKind, NetworkSpec};
pub use statistics::Statistics;
