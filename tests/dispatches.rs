//! How many launches a training step takes on a GPU. No device is needed.

use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::unstable::engine::{ConvVariant, ProgramInternals};

use self::programs::training;

#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "common/programs.rs"]
mod programs;

/// Kernels and launches of the teacher's step of the default recipe.
fn step(dataset: Dataset, batch_size: usize) -> (usize, usize) {
    let program = training(dataset, batch_size, Statistics::Running).swap_remove(0);
    let launches = program.kernels(ConvVariant::Tiled, false, false);
    let kernels = launches.iter().map(|launch| launch.shader.split('+').count()).sum();
    for launch in &launches {
        println!("{} ({})", launch.op, launch.shader);
    }
    (kernels, launches.len())
}

/// No more than these: a change that makes a step longer shows here.
#[test]
fn a_teachers_step_takes_few_launches() {
    let of = |dataset| [1, 8, 64].map(|batch_size| step(dataset, batch_size));
    let (mnist, fashion, cifar) = (of(Dataset::Mnist), of(Dataset::FashionMnist), of(Dataset::Cifar10));
    assert_eq!(
        [mnist, fashion, cifar],
        [[(98, 60), (106, 69), (113, 85)], [(98, 60), (106, 69), (113, 85)], [(0, 0); 3]]
    );
}
