//! The number types that the plain references compute in.

use num_traits::Float;

/// A number type that the plain references compute in.
pub trait Real: Float + Default + Send + std::iter::Sum + std::ops::AddAssign + std::ops::MulAssign + 'static {
    /// The nearest number of this type.
    fn of(number: f64) -> Self;
    /// As `f32`, rounded.
    fn to_single(self) -> f32;
    /// What holds four bytes of a variable of bytes.
    fn of_word(word: u32) -> Self;
    /// The bytes that [`Self::of_word`] put there.
    fn to_word(self) -> u32;
}

impl Real for f32 {
    fn of(number: f64) -> Self {
        number as f32
    }
    fn to_single(self) -> f32 {
        self
    }
    fn of_word(word: u32) -> Self {
        Self::from_bits(word)
    }
    fn to_word(self) -> u32 {
        self.to_bits()
    }
}

impl Real for f64 {
    fn of(number: f64) -> Self {
        number
    }
    fn to_single(self) -> f32 {
        self as f32
    }
    fn of_word(word: u32) -> Self {
        word.into()
    }
    fn to_word(self) -> u32 {
        self as u32
    }
}
