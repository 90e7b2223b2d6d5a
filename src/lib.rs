//! x

#![deny(unsafe_code)]

mod cache;
mod calibration;
pub mod config;
pub mod data;
pub mod engine;
mod export;
pub mod metrics;
pub mod model;
mod pipeline;
mod plot;
mod report;
mod reproduce;
mod results;
mod run;
pub mod scoring;
mod stream;
mod train;
pub mod unstable;
mod weights;
