//! Numbers that are infinite or NaN are found and named, and the run stops with a good checkpoint.

mod command;
mod common;

use command::{Sandbox, stderr};
use common::{VARIANTS, adapter, opened};
use pkdgan::config::{Config, Goal};
use pkdgan::engine::{Cpu, EngineError, Executor, Gpu, GpuOptions, Graph, Program, Readback, Statistics, Variables};
use pkdgan::model::{Architecture, EncoderLayer, LatentConstraint};
use pkdgan::unstable::engine::{GpuOptionsInternals, KernelChoices, Reference};
use pkdgan::unstable::model::{EdeGan, NormMode};
use pkdgan::unstable::pipeline::{self, Data, GivenFiles, Watch};
use pkdgan::unstable::run::RunFile;
use pkdgan::unstable::train::{Checkpoint, Event, Stage, TrainError};
use pkdgan::unstable::weights::Weights;

#[test]
fn the_check_sees_every_infinite_number_and_nan_wherever_it_is() {
    let options = GpuOptions::default().adapter(adapter()).convolution(Some(VARIANTS[1]));
    let gpu = opened(&options);
    // Lengths below, at and past what one round of all workgroups covers.
    let lens = [1, 64, 67, 5_000, 300_001];
    let mut variables = Variables::new();
    let all = lens.map(|len| {
        let groups = ["sound", "looked at", "flags"].map(|name| variables.group(name));
        let mut add = |group, len| variables.add(group, "numbers", [1, 1, 1, len]);
        (len, groups, [add(groups[0], len), add(groups[1], len), add(groups[2], 3)])
    });
    for mut executor in [Box::new(gpu) as Box<dyn Executor>, Box::new(Cpu::new()), Box::new(Reference::exact())] {
        for (len, groups, [sound, looked_at, flags]) in all {
            let mut graph = Graph::new();
            for slot in [0, 1] {
                graph.flag_not_finite(&variables, groups[slot], flags, slot).unwrap();
            }
            let program = executor.load(Program::compile(&graph, &variables).unwrap()).unwrap();
            let mut look = |values: &[f32]| {
                executor.write(flags, &[0.0, 0.0, 7.0]).unwrap();
                executor.write(sound, &vec![1.0; len]).unwrap();
                executor.write(looked_at, values).unwrap();
                executor.run(program, 1).unwrap();
                executor.read(&[Readback::Variable(flags)]).unwrap().wait_one().unwrap()
            };
            for number in [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::from_bits(1), -1.5] {
                assert_eq!(look(&vec![number; len]), [0.0, 0.0, 7.0], "{number} in {len}");
            }
            let [negative, signalling] = [0xffc0_0001, 0x7f80_0001].map(f32::from_bits);
            for odd in [f32::NAN, negative, signalling, f32::INFINITY, f32::NEG_INFINITY] {
                for place in [0, len / 3, len - 1] {
                    let mut values = vec![0.5; len];
                    values[place] = odd;
                    assert_eq!(look(&values), [0.0, 1.0, 7.0], "{odd} at {place} of {len}");
                }
            }
        }
    }
    let (_, groups, [.., flags]) = all[0];
    for (group, slot) in [(groups[1], 3), (groups[2], 0)] {
        let refused = Graph::new().flag_not_finite(&variables, group, flags, slot);
        assert!(matches!(refused, Err(EngineError::Shape { op, .. }) if op == "not_finite"));
    }
}

/// Nobody.
struct Silent;

impl Watch for Silent {
    fn prepare(&mut self, _phase: &str) {}

    fn begin(&mut self, _stage: Stage, _done: usize, _steps: usize) {}
    fn trained(&mut self, _stage: Stage, _event: Event) -> bool {
        false
    }
    fn scored(&mut self, _network: &str, _done: usize, _images: usize) {}
}

/// Trains the tiny run `first`, of a teacher, with a change that no configuration file may make, so that numbers stop
/// being finite; gives back the error, with RUN for the folder.
fn diverges(sandbox: &Sandbox, run: &str, every: &str, change: impl Fn(&mut Config)) -> String {
    if !sandbox.path("first").exists() {
        sandbox.trained("first", &["--steps=1"]);
    }
    let mut config = Config::read(&sandbox.path("first/config.toml")).unwrap();
    config.data.folder = sandbox.path("data");
    config.training.steps = 300;
    change(&mut config);
    let data = Data::load(&config, &mut |_, _| {}).unwrap();
    let folder =
        pipeline::begin(&config, &sandbox.path(run), false, &GivenFiles::default(), &KernelChoices::default()).unwrap();
    let open = || -> Result<Box<dyn Executor>, EngineError> {
        Ok(Box::new(Gpu::open(&GpuOptions::default().adapter(adapter()))?))
    };
    let trained = pipeline::train(&config, &folder, &data, &open, every.parse().unwrap(), None, &mut Silent);
    let error = trained.unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    Checkpoint::read(&folder.file(RunFile::Checkpoint)).unwrap();
    assert!(!folder.file(RunFile::Model).exists());
    let said = error.to_string();
    assert!(said.contains(&format!("{run}/checkpoint.safetensors")) && said.contains("learning rate"), "{said}");
    said.replace(&*folder.path().to_string_lossy(), "RUN")
}

#[test]
fn a_huge_learning_rate_is_told_by_network_tensor_and_step() {
    let sandbox = Sandbox::new();
    let huge = |config: &mut Config| config.training.learning_rate = 1e36;
    let said = diverges(&sandbox, "run", "60s", huge);
    println!("{said}");
    for part in [" of the teacher", "tensor `teacher.", "at step ", "--lr 5e35"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    // However the steps are cut into submissions and checkpoints.
    for (run, every) in [("again", "1"), ("once-more", "7")] {
        assert_eq!(diverges(&sandbox, run, every, huge), said);
    }
    // The smaller of two networks that are trained.
    let said = diverges(&sandbox, "joint", "60s", |config| {
        config.run.stage = Goal::All;
        config.training.steps = 20;
        config.distillation.step2.learning_rate = 1e36;
    });
    println!("{said}");
    for part in [" of the student", "tensor `student.", "--set distillation.step2.learning_rate=5e35"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(sandbox.list("joint").contains(&"student-step1.safetensors".to_owned()));
}

#[test]
fn moments_that_overflow_while_losses_are_finite_are_found() {
    let sandbox = Sandbox::new();
    // Gradients of some 1e25 have squares beyond all numbers: Adam divides by infinity, and nothing is learnt any more.
    let said = diverges(&sandbox, "run", "60s", |config| config.training.weights.reconstruction = 1e25);
    println!("{said}");
    for part in ["tensor `teacher.generator.adam_v/", "became inf at step 1;"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn given_weights_that_are_no_numbers_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    sandbox.trained("first", &["--steps=1"]);
    let mut model = Weights::read(&sandbox.path("first/model.safetensors")).unwrap();
    model.tensors.get_mut("decoder.deconv2.weight").unwrap().values[5] = f32::NAN;
    model.write(&sandbox.path("odd.safetensors")).unwrap();
    for arguments in [&["--init=odd.safetensors"][..], &["--teacher=odd.safetensors"]] {
        let output = sandbox.train("run", arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("odd.safetensors: tensor `decoder.deconv2.weight` has the value NaN"), "{said}");
        assert!(!sandbox.path("run").exists());
    }
}

#[test]
fn norms_of_a_single_value_are_refused_where_the_graph_is_built() {
    let mut graph = Graph::new();
    let x = graph.input("x", [3, 2, 1, 1]);
    let [scale, shift] = ["scale", "shift"].map(|name| graph.input(name, [1, 2, 1, 1]));
    graph.scope("net.conv2");
    for (sets, sound) in [(1, true), (3, false)] {
        let statistics = Statistics::Batch { sets, running: None };
        let normed = graph.batch_norm(x, scale, shift, statistics, 1e-5);
        assert_eq!(normed.is_ok(), sound);
        let Err(error) = normed else { continue };
        let said = error.to_string();
        for part in ["net.conv2/batch_norm: ", "one image of 1 x 1", "a larger batch", "larger maps"] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }

    // Side 8 halves to a single pixel in the discriminator's third layer, and in an encoder of three.
    let architecture = Architecture {
        channels: 1,
        side: 8,
        encoder: vec![EncoderLayer::half(2); 3],
        latents: 2,
        latent_constraint: LatentConstraint::default(),
        discriminator: vec![2, 3, 4],
    };
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "student", &architecture, 1e-5);
    for (batch, mode, sound) in [
        (1, NormMode::Batch { sets: 1 }, false),
        (1, NormMode::Tracked { momentum: 0.1 }, false),
        (4, NormMode::PerImage, false),
        (4, NormMode::Tracked { momentum: 0.1 }, true),
        (1, NormMode::Running, true),
    ] {
        let mut graph = Graph::new();
        let images = graph.input("images", [batch, 1, 8, 8]);
        let made = gan.generate(&mut graph, &variables, images, mode);
        let judged = gan.discriminator.forward(&mut graph, &variables, images, mode);
        for (outcome, layer) in
            [(made.map(|_| ()), "student.encoder1.conv3"), (judged.map(|_| ()), "student.discriminator.conv3")]
        {
            match outcome {
                Ok(()) => assert!(sound, "{layer}, batch {batch}, {mode:?}"),
                Err(error) => {
                    assert!(!sound && error.to_string().starts_with(&format!("{layer}/batch_norm: ")), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_stage_that_cannot_be_built_is_refused_before_the_first_is_trained() {
    let sandbox = Sandbox::new();
    // The second layer leaves a single pixel, and the second step has batches of one image.
    let more = ["--stage=all", "--set=student.encoder=[[4,4,4,0],[5,8,1,0]]", "--set=distillation.step2.batch_size=1"];
    let output = sandbox.train("run", &more).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("student.encoder1.conv2/batch_norm: ") && said.contains("a larger batch"), "{said}");
    assert!(!sandbox.path("run").exists());
}
