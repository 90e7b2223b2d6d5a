//! The element-wise activations: value, slope, and the constants that kernels know them by. The ops are in
//! `ops/activation.rs`.

use super::kernel::Dispatch;
use super::number::Real;

/// An element-wise non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `v`.
    #[default]
    Identity,
    /// `max(v, 0)`.
    Relu,
    /// `v` where positive, else `v` times this slope. The slope must be positive.
    LeakyRelu(f32),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-v))`.
    Sigmoid,
}

impl Activation {
    /// The activation of `v`.
    pub(crate) fn of<T: Real>(self, v: T) -> T {
        match self {
            Self::Identity => v,
            // Not `max`, which would hide NaN.
            Self::Relu if v < T::zero() => T::zero(),
            Self::Relu => v,
            Self::LeakyRelu(slope) => {
                if v > T::zero() {
                    v
                } else {
                    v * T::of(slope.into())
                }
            }
            Self::Tanh => v.tanh(),
            Self::Sigmoid => T::one() / (T::one() + (-v).exp()),
        }
    }

    /// The derivative where the activation is `y`.
    pub(crate) fn slope<T: Real>(self, y: T) -> T {
        match self {
            Self::Identity => T::one(),
            Self::Relu | Self::LeakyRelu(_) if y > T::zero() => T::one(),
            Self::Relu => T::zero(),
            Self::LeakyRelu(slope) => T::of(slope.into()),
            Self::Tanh => T::one() - y * y,
            Self::Sigmoid => y * (T::one() - y),
        }
    }

    /// Declares what `shaders/common/activation.wgsl` needs.
    pub(crate) fn declare(self, dispatch: Dispatch) -> Dispatch {
        self.declare_as(dispatch, "")
    }

    /// The same with names that begin with `prefix`.
    pub(crate) fn declare_as(self, dispatch: Dispatch, prefix: &str) -> Dispatch {
        let (number, slope) = match self {
            Self::Identity => (0, 0.0),
            Self::Relu => (1, 0.0),
            Self::LeakyRelu(slope) => (2, slope),
            Self::Tanh => (3, 0.0),
            Self::Sigmoid => (4, 0.0),
        };
        dispatch.with(&format!("{prefix}ACTIVATION"), number as u32).with(&format!("{prefix}NEGATIVE_SLOPE"), slope)
    }
}
