//! How many launches a training step takes on a GPU. No device is needed.

use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::unstable::engine::ProgramInternals;

use self::programs::training;

#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "common/programs.rs"]
mod programs;

/// Launches of the teacher's step of the default recipe.
fn launches(dataset: Dataset, batch_size: usize) -> usize {
    let program = training(dataset, batch_size, Statistics::Running).swap_remove(0);
    let launches = program.kernels(None, false, false);
    let kernels: usize = launches.iter().map(|launch| launch.shader.split('+').count()).sum();
    println!("{dataset}, batch {batch_size}: {kernels} kernels in {} launches", launches.len());
    launches.iter().for_each(|launch| println!("    {} ({})", launch.op, launch.shader));
    launches.len()
}

/// A change that makes a step longer shows here.
#[test]
fn a_teachers_step_takes_few_launches() {
    for (dataset, [one, eight]) in
        [(Dataset::Mnist, [60, 69]), (Dataset::FashionMnist, [60, 69]), (Dataset::Cifar10, [83, 100])]
    {
        let found = [1, 8].map(|batch_size| launches(dataset, batch_size));
        assert!(found[0] <= one && found[1] <= eight, "{dataset}: {found:?} launches at batch 1 and 8");
    }
}
