//! What the CPU executor promises beside the right numbers: the same bytes whatever computes them.

use pkdgan::config::Recipe;
use pkdgan::data::Dataset;
use pkdgan::engine::{Cpu, Executor, ProgramId, Readback, VarId};
use pkdgan::unstable::engine::CpuInternals;
use pkdgan::unstable::train::{Stage, Traced};

const STEPS: usize = 3;

/// A stage of the default networks on an executor, at a batch size.
fn loaded(stage: Stage, batch_size: usize, mut cpu: Cpu) -> (Traced, Cpu, ProgramId) {
    let mut config = Recipe::Default.config(Dataset::Mnist);
    config.training.batch_size = batch_size;
    config.student.alone.batch_size = batch_size;
    config.distillation.step2.batch_size = batch_size;
    let traced = Traced::new(&config, stage, 20).unwrap();
    let program = traced.load(&config, &mut cpu).unwrap();
    (traced, cpu, program)
}

/// What all optimizers hold after some steps, bit by bit.
fn bits(stage: Stage, batch_size: usize, cpu: Cpu) -> Vec<(String, Vec<u32>)> {
    let (traced, mut cpu, program) = loaded(stage, batch_size, cpu);
    cpu.run(program, STEPS).unwrap();
    let groups = traced.step.optimizers.iter().flat_map(|groups| [groups.parameters, groups.first, groups.second]);
    let variables: Vec<VarId> = groups.flat_map(|group| traced.variables.of(group)).collect();
    let wanted: Vec<Readback> = variables.iter().map(|&variable| Readback::Variable(variable)).collect();
    let values = cpu.read(&wanted).unwrap().wait().unwrap();
    let named = variables.iter().map(|&variable| traced.variables.name(variable).to_owned()).zip(values);
    named.map(|(name, values)| (name, values.into_iter().map(f32::to_bits).collect())).collect()
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Stages and batch sizes below and above the numbers of threads.
const CASES: [(Stage, usize); 5] =
    [(Stage::Teacher, 1), (Stage::Teacher, 2), (Stage::Teacher, 9), (Stage::Alone, 16), (Stage::Step2, 3)];

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (stage, batch_size) in CASES {
        let alone = with_threads(1, || bits(stage, batch_size, Cpu::new()));
        for threads in [2, 3, 7] {
            let shared = with_threads(threads, || bits(stage, batch_size, Cpu::new()));
            for ((name, alone), (_, shared)) in alone.iter().zip(&shared) {
                assert!(alone == shared, "{stage}, batch {batch_size}, {threads} threads: {name} differs");
            }
        }
    }
}

/// On a processor without AVX-512 both are the same code.
#[test]
fn the_length_of_vectors_changes_no_bit() {
    for (stage, batch_size) in CASES {
        let [longest, shorter] = [Cpu::new(), Cpu::without_avx512()].map(|cpu| bits(stage, batch_size, cpu));
        for ((name, longest), (_, shorter)) in longest.iter().zip(&shorter) {
            assert!(longest == shorter, "{stage}, batch {batch_size}: {name} differs without AVX-512");
        }
    }
}
