//! The paths that a generator can be scored on, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a generator is run to score images. All give the same scores up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScoringPath {
    /// The engine's ops one after the other: any network, any image.
    OpByOp,
    /// One dispatch, a workgroup an image, weights in single precision: networks whose activations fit 16 KiB.
    FusedF32,
    /// The same with weights in half precision: scores differ by up to 1 %.
    FusedF16,
    /// Vectorised Rust without any device.
    Cpu,
}

impl ScoringPath {
    /// Every path.
    pub const ALL: [Self; 4] = [Self::OpByOp, Self::FusedF32, Self::FusedF16, Self::Cpu];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpByOp => "op-by-op",
            Self::FusedF32 => "fused-f32",
            Self::FusedF16 => "fused-f16",
            Self::Cpu => "cpu",
        }
    }
}

impl fmt::Display for ScoringPath {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ScoringPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|path| path.name() == text);
        known.ok_or_else(|| format!("there is no path `{text}`; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}
