//! What can be wrong with a weight file, said in one line.

use std::io;
use std::path::PathBuf;

use safetensors::Dtype;
use thiserror::Error;

use crate::format::NewerFormat;
use crate::message::shortened;
use crate::run::WriteError;

/// Why weights could not be read, used or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
    /// The file is cut short, damaged or of another format.
    #[error("{}: {}; the file is damaged or no safetensors file, use another or train again", path.display(), shortened(message))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place and the fault.
        message: String,
    },
    /// A newer version of the program wrote the file.
    #[error(transparent)]
    Newer(#[from] NewerFormat),
    /// A tensor of numbers that are not F32, F16 or BF16.
    #[error("{}: tensor `{}` holds {dtype}; convert it to F32", path.display(), shortened(name))]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
    },
    /// A number that is infinite or NaN.
    #[error("{}: tensor `{}` has the value {value}; use weights of a network that did not diverge", path.display(), shortened(name))]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The number.
        value: f32,
    },
    /// A tensor that is needed is not there.
    #[error("{}: no tensor `{name}`; use the weights of this kind of network", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape than the network's.
    #[error(
        "{}: tensor `{name}` has shape {found:?} where the network has {wanted:?}; use the configuration that \
         the weights were trained with",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape wanted.
        wanted: Vec<usize>,
    },
    /// Tensors that the network has no place for.
    #[error(
        "{}: tensors that the network does not have: {}; use the weights of this kind of network",
        path.display(), shortened(&names.join(", "))
    )]
    Unused {
        /// The file.
        path: PathBuf,
        /// The tensors.
        names: Vec<String>,
    },
    /// A tensor to be written whose values do not fill its shape, or whose name is reserved.
    #[error(
        "tensor `{name}` of shape {shape:?} with {values} values cannot be written; give a value for \
         each place, and another name than `__metadata__`"
    )]
    Malformed {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values it has.
        values: usize,
    },
    /// A value that half precision has no room for.
    #[error("tensor `{name}` holds {value}, and half precision ends at 65504; keep it in F32")]
    Overflow {
        /// The tensor.
        name: String,
        /// The value.
        value: f32,
    },
    /// What was not fitted when the model was trained.
    #[error("{}: the model lacks {what}; train it again, with held-out images", path.display())]
    NotFitted {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        what: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
