//! One-class novelty detection: EDE-GAN teachers and their students on a compute engine of our own.

pub mod engine;
