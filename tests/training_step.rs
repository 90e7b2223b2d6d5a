//! One whole training step on the GPU and on the CPU executor against the plain references in double precision: every
//! gradient, every moment, every updated parameter and running average, by name.

mod common;

use common::{VARIANTS, assert_close, random};
use pkdgan::config::{Config, LatentConstraint, PseudoAnomaly, Recipe, Statistics, Structure};
use pkdgan::data::Dataset;
use pkdgan::engine::{Cpu, Executor, GpuOptions, GroupId, Program, Readback, VarId, Variables};
use pkdgan::unstable::engine::{GpuOptionsInternals, Reference};
use pkdgan::unstable::train::{Networks, Stage, TrainingStep};

const IMAGES: usize = 7;

/// Widths past and below the tiles of the kernels.
fn config(batch_size: usize, structure: Structure) -> Config {
    let mut config = small(Dataset::Mnist, batch_size, structure);
    config.network.latents = 12;
    config.student.encoder = vec![[5, 4, 4, 0], [9, 2, 2, 0]];
    config
}

/// The networks of a data set with a narrow teacher.
fn small(dataset: Dataset, batch_size: usize, structure: Structure) -> Config {
    let mut config = Recipe::Default.config(dataset);
    config.network.generator = vec![9, 17, 20];
    config.network.discriminator = vec![5, 8, 12];
    config.training.batch_size = batch_size;
    config.training.steps = STEPS;
    // Larger than the recipe's, so that the first gradients are well above rounding.
    config.training.init_std = 0.1;
    config.student.discriminator = vec![3, 5, 9];
    config.student.alone.batch_size = batch_size;
    config.student.alone.steps = STEPS;
    config.distillation.precompute_teacher_outputs = false;
    config.distillation.step1.structure = structure;
    config.distillation.step1.batch_size = batch_size;
    config.distillation.step1.steps = STEPS;
    config.distillation.step2.structure = structure;
    config.distillation.step2.batch_size = batch_size;
    config.distillation.step2.steps = STEPS;
    config
}

const STEPS: usize = 4;
/// Rows of a history.
const HISTORY: usize = 1024;

struct Setup {
    config: Config,
    variables: Variables,
    networks: Networks,
    step: TrainingStep,
}

impl Setup {
    fn new(batch_size: usize, stage: Stage, structure: Structure) -> Self {
        Self::of(config(batch_size, structure), stage)
    }

    fn of(config: Config, stage: Stage) -> Self {
        let mut variables = Variables::new();
        let networks = Networks::register(&config, stage, &mut variables);
        let image = [config.preprocessing().channels, 32, 32];
        let step = TrainingStep::build(&config, stage, &networks, &mut variables, IMAGES, image).unwrap();
        Self { config, variables, networks, step }
    }

    fn teacher(batch_size: usize) -> Self {
        Self::new(batch_size, Stage::Teacher, Structure::Frozen)
    }

    /// Runs so many steps and reads back every variable of the optimizers, the running averages and
    /// the losses.
    fn run(&self, executor: &mut dyn Executor, steps: usize) -> Vec<(String, Vec<f64>)> {
        let program = executor.load(Program::compile(&self.step.graph, &self.variables).unwrap()).unwrap();
        let ring = self.step.images;
        let len = ring.slots * ring.elements * size_of::<f32>();
        let bytes: Vec<u8> = random(5, len).iter().map(|&v| (127.5 + 127.5 * v).round() as u8).collect();
        ring.write_bytes(executor, 0, &bytes).unwrap();
        for codes in self.step.transformations.codes(&self.config) {
            let [slots, _, _, batch] = self.variables.shape(codes.ring.variable);
            let variable = codes.ring.variable;
            executor.write(variable, &codes.take(slots * batch).collect::<Vec<_>>()).unwrap();
        }
        let mut write = |variable, values: &[f32]| executor.write(variable, values).unwrap();
        for (table, settings) in &self.step.tables {
            write(*table, &settings.table());
        }
        write(self.step.clock, &[0.0]);
        for groups in &self.step.optimizers {
            for variable in [groups.first, groups.second].into_iter().flat_map(|group| self.variables.of(group)) {
                let len: usize = self.variables.shape(variable).iter().product();
                write(variable, &vec![0.0; len]);
            }
        }
        self.networks.initialise(&self.config, executor, &self.variables).unwrap();
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
            .chain(self.networks.each().map(|gan| gan.averages))
            .chain(self.step.history.variables().map(|variable| variable.group()))
            .chain([self.step.clock.group()])
            .flat_map(of)
            .map(|(group, variable)| (format!("{group}/{}", self.variables.name(variable)), variable))
            .collect()
    }
}

/// Compares everything after one step with the exact one, and executors with each other.
fn compare(name: &str, setup: &Setup, executors: Vec<(&str, Box<dyn Executor>)>) {
    let exact = setup.run(&mut Reference::exact(), 1);
    let mut before: Option<Vec<(String, Vec<f64>)>> = None;
    for (executor, mut device) in executors {
        let got = setup.run(device.as_mut(), 1);
        let name = format!("{name}, {executor}");
        compare_with(&name, setup, &exact, &got, 1.0);
        if let Some(before) = &before {
            compare_with(&format!("{name} beside the one before"), setup, before, &got, 2.0);
        }
        before = Some(got);
    }
}

fn compare_with(name: &str, setup: &Setup, exact: &[(String, Vec<f64>)], got: &[(String, Vec<f64>)], slack: f64) {
    let gradient_of = |parameter: &str| {
        let (group, variable) = parameter.split_once('/').unwrap();
        let gradient = format!("{group}.gradient/{variable}");
        &exact.iter().find(|(name, _)| *name == gradient).unwrap().1
    };
    let rate = setup.step.tables.iter().fold(0.0f64, |most, (_, settings)| most.max(settings.learning_rate));
    assert!(exact.len() > 60, "only {} tensors were compared", exact.len());
    for ((tensor, expected), (_, got)) in exact.iter().zip(got) {
        let what = format!("{name}, {tensor}");
        if tensor.ends_with("/history") {
            // Rows after the first are still empty. A row of several losses has three or four.
            let filled = (got.len() / HISTORY).min(3);
            assert_close(&what, &got[..filled], &expected[..filled], slack * 1e-4);
        } else if tensor.contains(".generator/") || tensor.contains(".discriminator/") {
            // Adam's first step moves each parameter by the learning rate and the gradient's sign, so
            // a gradient within rounding of zero may move it either way.
            let gradient = gradient_of(tensor);
            let largest = gradient.iter().fold(0.0f64, |most, g| most.max(g.abs()));
            for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
                let allowed = if gradient[i].abs() > 1e-2 * largest { slack * 1e-2 * rate } else { 2.1 * rate };
                assert!((got - expected).abs() <= allowed, "{what}: element {i} is {got}, expected {expected}");
            }
        } else {
            let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            assert!(largest > 0.0, "{what} is all zero: nothing was compared");
            let scale = |values: &[f64]| values.iter().map(|v| v / largest).collect::<Vec<_>>();
            assert_close(&what, &scale(got), &scale(expected), slack * 2e-3);
        }
    }
}

#[test]
fn a_teachers_step_is_the_exact_one() {
    for batch_size in [1, 3] {
        let setup = Setup::teacher(batch_size);
        let variants = VARIANTS.map(|variant| ("gpu", fresh(variant)));
        let executors = variants.into_iter().chain([("cpu", Box::new(Cpu::new()) as Box<dyn Executor>)]);
        compare(&format!("batch {batch_size}"), &setup, executors.collect());
    }
}

/// Every stage, structure and data set.
#[test]
fn steps_of_all_stages_are_the_exact_ones() {
    for dataset in Dataset::ALL {
        let others = [Stage::Teacher, Stage::Alone].map(|stage| (stage, Structure::Frozen));
        let distilling = [Stage::Step1, Stage::Step2];
        let distilling = distilling.into_iter().flat_map(|stage| Structure::ALL.map(|structure| (stage, structure)));
        for (stage, structure) in others.into_iter().chain(distilling) {
            let setup = Setup::of(small(dataset, 3, structure), stage);
            let executors = vec![("gpu", fresh(VARIANTS[1])), ("cpu", Box::new(Cpu::new()) as Box<dyn Executor>)];
            compare(&format!("{dataset}, {stage}, {structure:?}"), &setup, executors);
        }
    }
}

/// With each constraint on latent vectors, and with a second encoder that learns by itself.
#[test]
fn steps_of_other_constraints_are_the_exact_ones() {
    for (constraint, statistics) in [
        (LatentConstraint::UnitRms, Statistics::PerImage),
        (LatentConstraint::Tanh, Statistics::Running),
        (LatentConstraint::None, Statistics::Running),
    ] {
        for stage in [Stage::Teacher, Stage::Alone, Stage::Step1] {
            let mut config = small(Dataset::Mnist, 3, Structure::JointOwn);
            config.network.latent_constraint = constraint;
            (config.scoring.statistics, config.student.statistics) = (statistics, statistics);
            (config.training.weights.latent, config.student.weights.latent) = (0.0, 0.0);
            let setup = Setup::of(config, stage);
            let executors = vec![("gpu", fresh(VARIANTS[1])), ("cpu", Box::new(Cpu::new()) as Box<dyn Executor>)];
            compare(&format!("{constraint:?}, {stage}"), &setup, executors);
        }
    }
}

/// Every stage that has own losses, with images that are transformed and others that must not pass for normal.
#[test]
fn steps_with_pseudo_anomalies_are_the_exact_ones() {
    for (dataset, statistics) in [(Dataset::Mnist, Statistics::Running), (Dataset::Cifar10, Statistics::PerImage)] {
        for stage in [Stage::Teacher, Stage::Alone, Stage::Step1, Stage::Step2] {
            let structure = if stage == Stage::Step1 { Structure::FrozenOwn } else { Structure::JointOwn };
            let mut config = small(dataset, 3, structure);
            config.scoring.statistics = statistics;
            config.student.statistics = statistics;
            config.training.augmentation.mirror = true;
            config.training.augmentation.max_shift = 2;
            config.training.pseudo_anomalies.weight = 2.0;
            // More than untrained networks have, so that there is a gradient.
            config.training.pseudo_anomalies.margin = 4.0;
            config.training.pseudo_anomalies.kinds = vec![PseudoAnomaly::Turned, PseudoAnomaly::Recoloured];
            let setup = Setup::of(config, stage);
            let drawn = |setup: &Setup, config: &Config| -> Vec<Vec<f32>> {
                let codes = setup.step.transformations.codes(config);
                codes.into_iter().map(|codes| codes.take(3 * STEPS).collect()).collect()
            };
            let seen = drawn(&setup, &setup.config);
            let different = |codes: &[f32]| codes.iter().any(|code| *code != codes[0]);
            assert!(seen.len() == 2 && seen.iter().all(|codes| different(codes)), "{seen:?}");
            // A run that goes on sees what it would have seen, and another seed sees something else.
            assert_eq!(drawn(&setup, &setup.config), seen);
            let mut other = setup.config.clone();
            other.training.seed += 1;
            assert_ne!(drawn(&setup, &other), seen);
            let executors = vec![("gpu", fresh(VARIANTS[1])), ("cpu", Box::new(Cpu::new()) as Box<dyn Executor>)];
            compare(&format!("{dataset}, {stage}"), &setup, executors);
        }
    }
}

/// At the size that is trained by default, where the CPU executor shares work among threads.
#[test]
fn a_step_of_the_default_networks_is_the_exact_one() {
    for batch_size in [1, 3] {
        let mut config = Recipe::Default.config(Dataset::Mnist);
        config.training.batch_size = batch_size;
        config.training.steps = STEPS;
        config.training.init_std = 0.1;
        let setup = Setup::of(config, Stage::Teacher);
        compare(&format!("batch {batch_size}"), &setup, vec![("cpu", Box::new(Cpu::new()))]);
    }
}

/// With the kernels and launches that GPUs get: the exact step, and the same bytes as with each kernel in a launch of its own.
#[test]
fn kernels_side_by_side_give_the_same_bytes() {
    let on_gpu = |alone: bool| -> Box<dyn Executor> {
        let options = GpuOptions::default().adapter(common::adapter()).gpu_kernels(true).alone(alone);
        Box::new(common::opened(&options))
    };
    for (batch_size, stage, structure) in [
        (1, Stage::Teacher, Structure::Frozen),
        (3, Stage::Teacher, Structure::Frozen),
        (2, Stage::Step1, Structure::JointOwn),
    ] {
        let setup = Setup::new(batch_size, stage, structure);
        compare(&format!("{stage}, batch {batch_size}"), &setup, vec![("gpu", on_gpu(false))]);
        let [together, alone] = [false, true].map(|alone| setup.run(on_gpu(alone).as_mut(), STEPS));
        for ((name, together), (_, alone)) in together.iter().zip(&alone) {
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(together), bits(alone), "{stage}, batch {batch_size}, {name}");
        }
    }
}

#[test]
fn losses_of_ten_steps_stay_together() {
    const STEPS: usize = 10;
    for (stage, structure) in [(Stage::Teacher, Structure::Frozen), (Stage::Step1, Structure::JointOwn)] {
        let mut config = config(3, structure);
        config.training.steps = STEPS;
        config.distillation.step1.steps = STEPS;
        let setup = Setup::of(config, stage);
        let exact = setup.run(&mut Reference::exact(), STEPS);
        for (name, mut executor) in [("gpu", fresh(VARIANTS[1])), ("cpu", Box::new(Cpu::new()) as Box<dyn Executor>)] {
            let got = setup.run(executor.as_mut(), STEPS);
            let histories = exact.iter().zip(&got).filter(|((tensor, _), _)| tensor.ends_with("/history"));
            let mut compared = 0;
            for ((tensor, expected), (_, got)) in histories {
                // Three or four losses a step.
                let filled = STEPS * 3;
                assert_close(&format!("{stage}, {name}, {tensor}"), &got[..filled], &expected[..filled], 5e-3);
                compared += 1;
            }
            assert!(compared > 0, "no history was compared");
        }
    }
}

/// Everything that a network holds, by name.
fn held(setup: &Setup, executor: &mut dyn Executor, label: &str) -> Vec<(String, Vec<f32>)> {
    let gan = setup.networks.each().find(|gan| setup.variables.group_name(gan.averages).starts_with(label)).unwrap();
    let groups = [gan.generator_parameters, gan.discriminator_parameters, gan.averages];
    let variables: Vec<VarId> = groups.into_iter().flat_map(|group| setup.variables.of(group)).collect();
    let wanted: Vec<Readback> = variables.iter().map(|&variable| Readback::Variable(variable)).collect();
    let values = executor.read(&wanted).unwrap().wait().unwrap();
    variables.iter().map(|&variable| setup.variables.name(variable).to_owned()).zip(values).collect()
}

#[test]
fn a_frozen_teacher_is_frozen_and_a_joint_one_learns() {
    for structure in Structure::ALL {
        let setup = Setup::new(2, Stage::Step1, structure);
        let mut executor = fresh(VARIANTS[1]);
        // What a network holds before its first step, on a device of its own.
        let mut untouched = fresh(VARIANTS[1]);
        untouched.allocate(&setup.variables).unwrap();
        setup.networks.initialise(&setup.config, untouched.as_mut(), &setup.variables).unwrap();
        setup.run(executor.as_mut(), STEPS);
        for (label, learns) in [("teacher", structure.trains_teacher()), ("student", true)] {
            let before = held(&setup, untouched.as_mut(), label);
            let after = held(&setup, executor.as_mut(), label);
            for ((name, before), (_, after)) in before.iter().zip(&after) {
                let discriminates = name.starts_with("discriminator");
                let averaged = discriminates && name.contains("running");
                let own = label == "teacher" || structure.has_own_losses();
                let expected = learns && !averaged && (own || !discriminates);
                assert_eq!(before != after, expected, "{structure:?}, {label}, {name}");
            }
        }
    }
}

/// The very same device would keep variables of another test's registry, so each run opens its own.
fn fresh(variant: pkdgan::unstable::engine::ConvVariant) -> Box<dyn Executor> {
    let options = pkdgan::engine::GpuOptions::default().adapter(common::adapter()).convolution(Some(variant));
    Box::new(common::opened(&options))
}

#[test]
fn steps_in_one_submission_are_steps_one_by_one() {
    let setup = Setup::teacher(2);
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
        let filled = if name.ends_with("/history") { 12 } else { together.len() };
        assert_eq!(together[..filled], apart[..filled], "{name}");
    }
}

#[test]
fn the_discriminators_loss_leaves_the_generator_alone() {
    let setup = Setup::teacher(2);
    let labels: Vec<String> =
        Program::compile(&setup.step.graph, &setup.variables).unwrap().labels().map(str::to_owned).collect();
    let first_update = labels.iter().position(|label| label.ends_with("adam")).unwrap();
    let backward = |label: &String| label.contains('\'');
    let elsewhere = |label: &&String| backward(label) && !label.starts_with("teacher.discriminator");
    let crossed = labels[..first_update].iter().filter(elsewhere);
    // Before its update only the discriminator's own layers, and the loss's two ops, run backward.
    let crossed: Vec<_> = crossed.filter(|label| label.contains("coder")).collect();
    assert!(crossed.is_empty(), "{crossed:?}");
}
