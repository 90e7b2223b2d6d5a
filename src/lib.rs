//! One-class novelty detection: EDE-GAN teachers and their students on a compute engine of our own.

#![deny(unsafe_code)]

pub mod cache;
pub mod calibration;
pub mod config;
pub mod data;
pub mod engine;
pub mod export;
pub mod format;
pub mod metrics;
pub mod model;
pub mod pipeline;
mod plot;
pub mod report;
pub mod reproduce;
pub mod results;
pub mod run;
pub mod scoring;
pub mod stream;
pub mod train;
pub mod weights;
