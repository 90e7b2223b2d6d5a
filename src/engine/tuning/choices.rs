//! Which kernel was chosen for which convolution, by name, as files hold it. It knows no device.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::conv::ConvShape;

/// The kernels of convolutions, both by name, where those are not the ones that the kind of adapter suggests; empty for
/// defaults only. Names come from files: one that is unknown where it is looked up counts for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelChoices(BTreeMap<String, String>);

impl KernelChoices {
    /// The name of the kernel chosen for a convolution.
    pub fn of(&self, shape: &ConvShape) -> Option<&str> {
        self.0.get(&shape.to_string()).map(String::as_str)
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For how many convolutions a kernel was chosen.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<S: ToString> FromIterator<(S, String)> for KernelChoices {
    fn from_iter<I: IntoIterator<Item = (S, String)>>(chosen: I) -> Self {
        Self(chosen.into_iter().map(|(shape, kernel)| (shape.to_string(), kernel)).collect())
    }
}
