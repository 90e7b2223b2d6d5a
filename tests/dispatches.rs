//! How many launches a training step takes on a GPU. No device is needed.

use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::engine::Program;
use pkdgan::unstable::engine::{ConvVariant, ProgramInternals};

use self::programs::training;

#[path = "common/programs.rs"]
mod programs;

/// The teacher's step of the default recipe.
fn teacher(dataset: Dataset, batch_size: usize) -> Program {
    training(dataset, batch_size, Statistics::Running).swap_remove(0)
}

fn launches(dataset: Dataset, batch_size: usize) -> usize {
    let kernels = teacher(dataset, batch_size).kernels(ConvVariant::Tiled, false, false);
    for kernel in &kernels {
        println!("{} ({})", kernel.op, kernel.shader);
    }
    kernels.len()
}

#[test]
fn a_teachers_step_takes_few_launches() {
    let of = |batch_size| Dataset::ALL.map(|dataset| (dataset, launches(dataset, batch_size)));
    println!("{:?} {:?} {:?}", of(1), of(8), of(64));
}
