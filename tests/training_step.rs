//! One whole training step on the GPU against the CPU executor in double precision: every gradient,
//! every moment, every updated parameter and running average, by name.

mod common;

use common::{VARIANTS, assert_close, random};
use pkdgan::config::{Config, Recipe};
use pkdgan::engine::{Cpu, Executor, GroupId, Program, Readback, VarId, Variables};
use pkdgan::model::EdeGan;
use pkdgan::train::{TrainingStep, register};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const IMAGES: usize = 7;

/// Widths past and below the tiles of the kernels.
fn config(batch_size: usize) -> Config {
    let mut config = Recipe::Default.config();
    config.network.generator = [9, 17, 20];
    config.network.discriminator = [5, 8, 12];
    config.network.latents = 12;
    config.training.batch_size = batch_size;
    config.training.steps = 4;
    // Larger than the recipe's, so that the first gradients are well above rounding.
    config.training.init_std = 0.1;
    config
}

struct Setup {
    config: Config,
    variables: Variables,
    gan: EdeGan,
    step: TrainingStep,
}

impl Setup {
    fn new(batch_size: usize) -> Self {
        let config = config(batch_size);
        let mut variables = Variables::new();
        let gan = register(&config, &mut variables, 1);
        let step = TrainingStep::build(&config, &gan, &mut variables, IMAGES, [1, 32, 32]).unwrap();
        Self { config, variables, gan, step }
    }

    /// Runs so many steps and reads back every variable of the optimizers, the running averages and
    /// the losses.
    fn run(&self, executor: &mut dyn Executor, steps: usize) -> Vec<(String, Vec<f64>)> {
        let program = executor.load(Program::compile(&self.step.graph, &self.variables).unwrap()).unwrap();
        let images: Vec<f32> = random(5, IMAGES * 1024).iter().map(|&v| v as f32).collect();
        let order = self.config.training.batch_size * self.config.training.steps;
        let mut write = |variable, values: &[f32]| executor.write(variable, values).unwrap();
        write(self.step.images, &images);
        write(self.step.order, &(0..order).map(|i| (i * 3 % IMAGES) as f32).collect::<Vec<_>>());
        write(self.step.table, &self.step.settings.table());
        write(self.step.clock, &[0.0]);
        for groups in self.step.optimizers {
            for variable in [groups.first, groups.second].into_iter().flat_map(|group| self.variables.of(group)) {
                let len: usize = self.variables.shape(variable).iter().product();
                write(variable, &vec![0.0; len]);
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for network in self.gan.generator().into_iter().chain([&self.gan.discriminator]) {
            network.initialise(executor, &self.variables, &mut rng, self.config.training.init_std as f32).unwrap();
        }
        executor.run(program, steps).unwrap();
        let named = self.named();
        let wanted: Vec<Readback> = named.iter().map(|(_, variable)| Readback::Variable(*variable)).collect();
        let values = executor.read(&wanted).unwrap().wait().unwrap();
        executor.unload(program);
        let values = values.into_iter().map(|values| values.into_iter().map(f64::from).collect());
        named.into_iter().map(|(name, _)| name).zip(values).collect()
    }

    fn named(&self) -> Vec<(String, VarId)> {
        let of = |group: GroupId| {
            let name = self.variables.group_name(group).to_owned();
            self.variables.of(group).map(move |variable| (name.clone(), variable))
        };
        let groups = self.step.optimizers.iter();
        let groups = groups.flat_map(|groups| [groups.gradients, groups.first, groups.second, groups.parameters]);
        groups
            .chain([self.gan.averages, self.step.clock.group(), self.step.history.group()])
            .flat_map(of)
            .map(|(group, variable)| (format!("{group}/{}", self.variables.name(variable)), variable))
            .collect()
    }
}

/// Compares everything after one step.
fn compare(batch_size: usize, name: &str, setup: &Setup, executor: &mut dyn Executor) {
    let exact = setup.run(&mut Cpu::exact(), 1);
    let got = setup.run(executor, 1);
    let gradient_of = |parameter: &str| {
        let (group, variable) = parameter.split_once('/').unwrap();
        let gradient = format!("{group}.gradient/{variable}");
        &exact.iter().find(|(name, _)| *name == gradient).unwrap().1
    };
    let rate = setup.config.training.learning_rate;
    assert!(exact.len() > 100, "only {} tensors were compared", exact.len());
    for ((tensor, expected), (_, got)) in exact.iter().zip(&got) {
        let what = format!("{name}, batch {batch_size}, {tensor}");
        if tensor.starts_with("history/") {
            // Rows after the first are still empty.
            assert_close(&what, &got[..4], &expected[..4], 1e-4);
        } else if tensor.starts_with("generator/") || tensor.starts_with("discriminator/") {
            // Adam's first step moves each parameter by the learning rate and the gradient's sign, so
            // a gradient within rounding of zero may move it either way.
            let gradient = gradient_of(tensor);
            let largest = gradient.iter().fold(0.0f64, |most, g| most.max(g.abs()));
            for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
                let allowed = if gradient[i].abs() > 1e-2 * largest { 1e-2 * rate } else { 2.1 * rate };
                assert!((got - expected).abs() <= allowed, "{what}: element {i} is {got}, expected {expected}");
            }
        } else {
            let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            assert!(largest > 0.0, "{what} is all zero: nothing was compared");
            let scale = |values: &[f64]| values.iter().map(|v| v / largest).collect::<Vec<_>>();
            assert_close(&what, &scale(got), &scale(expected), 2e-3);
        }
    }
}

#[test]
fn a_training_step_on_the_gpu_is_that_of_the_cpu() {
    for batch_size in [1, 3] {
        let setup = Setup::new(batch_size);
        for variant in VARIANTS {
            compare(batch_size, &format!("{variant:?}"), &setup, &mut *fresh(variant));
        }
        compare(batch_size, "CPU in single precision", &setup, &mut Cpu::new());
    }
}

/// The very same device would keep variables of another test's registry, so each run opens its own.
fn fresh(variant: pkdgan::engine::ConvVariant) -> Box<dyn Executor> {
    let options = pkdgan::engine::GpuOptions { adapter: common::adapter(), convolution: Some(variant) };
    Box::new(pkdgan::engine::Gpu::open(&options).unwrap())
}

#[test]
fn steps_in_one_submission_are_steps_one_by_one() {
    let setup = Setup::new(2);
    let together = setup.run(&mut *fresh(VARIANTS[1]), 3);
    let program = || Program::compile(&setup.step.graph, &setup.variables).unwrap();
    let mut apart = fresh(VARIANTS[1]);
    setup.run(apart.as_mut(), 1);
    let id = apart.load(program()).unwrap();
    apart.run(id, 1).unwrap();
    apart.run(id, 1).unwrap();
    let named = setup.named();
    let wanted: Vec<Readback> = named.iter().map(|(_, variable)| Readback::Variable(*variable)).collect();
    let apart = apart.read(&wanted).unwrap().wait().unwrap();
    for ((name, together), apart) in together.iter().zip(&apart) {
        let apart: Vec<f64> = apart.iter().copied().map(f64::from).collect();
        // Bit for bit, but for rows of the history that no step has filled.
        let filled = if name.starts_with("history/") { 12 } else { together.len() };
        assert_eq!(together[..filled], apart[..filled], "{name}");
    }
}

#[test]
fn the_discriminators_loss_leaves_the_generator_alone() {
    let setup = Setup::new(2);
    let labels: Vec<String> =
        Program::compile(&setup.step.graph, &setup.variables).unwrap().labels().map(str::to_owned).collect();
    let first_update = labels.iter().position(|label| label.ends_with("adam")).unwrap();
    let backward = |label: &String| label.contains('\'');
    let crossed = labels[..first_update].iter().filter(|label| backward(label) && !label.starts_with("discriminator"));
    // Before its update only the discriminator's own layers, and the loss's two ops, run backward.
    let crossed: Vec<_> = crossed.filter(|label| label.contains("coder")).collect();
    assert!(crossed.is_empty(), "{crossed:?}");
}
