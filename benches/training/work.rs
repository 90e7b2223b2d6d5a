//! What can be timed: a training step of each kind, scoring with the teacher.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use pkdgan::engine::{Cpu, Executor, Gpu, GpuOptions, Program, ProgramId, Readback, Variables};
use pkdgan::scoring::{Detector, ScoringPath};
use pkdgan::unstable::engine::{CpuInternals, GpuInternals, Timed};
use pkdgan::unstable::train::{Networks, Stage, TrainingStep};
use serde::Serialize;

use super::generator_step::{self, Step};
use super::start;
use super::stopwatch::time;

/// Steps whose losses are told.
const TOLD: usize = 3;

/// What can be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// The teacher and its discriminator.
    TeacherGan,
    /// The student, by itself, and its discriminator.
    StudentGan,
    /// The teacher by its losses without a discriminator.
    TeacherGenerator,
    /// The student by its losses without a discriminator.
    StudentGenerator,
    /// The student by what a frozen teacher makes of the images in each step.
    Distillation,
    /// The student by the answers of a frozen teacher that was asked before.
    DistillationPrecomputed,
    /// Scores of the teacher.
    TeacherScoring,
}

/// What is computed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    Cpu,
    Gpu,
}

/// One of the two executors.
pub(crate) enum Device {
    Cpu(Box<Cpu>),
    Gpu(Box<Gpu>),
}

impl On {
    pub(crate) fn open(self) -> Device {
        let options = GpuOptions::default().adapter(std::env::var("PKDGAN_BENCH_ADAPTER").ok());
        match self {
            Self::Cpu => Device::Cpu(Box::default()),
            Self::Gpu => Device::Gpu(Box::new(Gpu::open(&options).expect("an adapter"))),
        }
    }
}

impl Device {
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Cpu(cpu) => cpu.summary(),
            Self::Gpu(gpu) => Executor::summary(&**gpu),
        }
        .to_string()
    }

    fn executor(&mut self) -> &mut dyn Executor {
        match self {
            Self::Cpu(cpu) => cpu.as_mut(),
            Self::Gpu(gpu) => gpu.as_mut(),
        }
    }

    fn profile(&mut self, program: ProgramId) -> Option<Vec<Timed>> {
        match self {
            Self::Cpu(cpu) => Some(cpu.profile(program).expect("a profile")),
            Self::Gpu(gpu) => gpu.profile(program, 15).expect("a profile"),
        }
    }
}

/// How fast it is.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub work: Work,
    /// Images of a step.
    pub batch: usize,
    /// What it ran on.
    pub device: String,
    pub median_ms: f64,
    pub p95_ms: f64,
    /// Multiply-accumulates of a step.
    pub macs: u64,
    /// From the graph to a program on the device.
    pub loading_s: f64,
    /// Kernels of a step.
    pub dispatches: Option<usize>,
    /// Share of the kernels' time, by the device's clock.
    pub outside_convolutions: Option<f64>,
    /// Losses of the first steps, unweighted, in the order of the log.
    pub losses: Vec<Vec<f32>>,
    #[serde(skip)]
    pub kernels: Vec<Timed>,
}

impl Work {
    /// Times the work for about so long.
    pub(crate) fn measure(self, on: On, batch: usize, time: Duration) -> Measured {
        match self {
            Self::TeacherScoring => self.score(on, batch, time),
            _ => self.train(on, batch, time),
        }
    }

    fn stage(self) -> Stage {
        match self {
            Self::TeacherGan | Self::TeacherGenerator | Self::TeacherScoring => Stage::Teacher,
            Self::StudentGan | Self::StudentGenerator => Stage::Alone,
            Self::Distillation | Self::DistillationPrecomputed => Stage::Step1,
        }
    }

    fn train(self, on: On, batch: usize, seconds: Duration) -> Measured {
        let stage = self.stage();
        let mut config = start::config(batch);
        config.distillation.precompute_teacher_outputs = self == Self::DistillationPrecomputed;
        let mut variables = Variables::new();
        let networks = Networks::register(&config, stage, &mut variables);
        let step: Step = match self {
            Self::TeacherGenerator | Self::StudentGenerator => {
                generator_step::build(&config, stage, &networks, &mut variables)
            }
            _ => TrainingStep::build(&config, stage, &networks, &mut variables, start::IMAGES, [1, 32, 32])
                .map(Step::from),
        }
        .expect("a step");
        let mut device = on.open();
        let name = device.summary();
        let executor = device.executor();
        let loading = Instant::now();
        let program = Program::compile(&step.graph, &variables).expect("a program");
        let macs = program.macs();
        let id = executor.load(program).expect("a program");
        let loading_s = loading.elapsed().as_secs_f64();
        executor.allocate(&variables).expect("variables");
        networks.initialise(&config, executor, &variables).expect("weights");
        step.images.write_bytes(executor, 0, &start::bytes(step.images.slots * batch)).expect("images");
        for (table, settings) in &step.tables {
            executor.write(*table, &settings.table()).expect("table");
        }
        let losses = first_losses(executor, &step, id, &variables);
        let [median, p95] = time(seconds, |steps| {
            executor.run(id, steps).expect("a run");
            executor.read(&[Readback::Variable(step.clock)]).and_then(|pending| pending.wait()).expect("a read-back");
        });
        let kernels = device.profile(id);
        Measured {
            work: self,
            batch,
            device: name,
            median_ms: 1e3 * median,
            p95_ms: 1e3 * p95,
            macs,
            loading_s,
            dispatches: kernels.as_ref().map(Vec::len),
            outside_convolutions: kernels.as_deref().map(outside_convolutions),
            losses,
            kernels: kernels.unwrap_or_default(),
        }
    }

    fn score(self, on: On, batch: usize, seconds: Duration) -> Measured {
        let file = start::model(self.stage());
        let device = on.open();
        let name = device.summary();
        let loading = Instant::now();
        let detector = match device {
            Device::Gpu(gpu) => Detector::on(gpu, &file, ScoringPath::OpByOp, batch),
            Device::Cpu(_) => Detector::cpu(&file, batch),
        };
        let mut detector = detector.expect("a detector");
        let loading_s = loading.elapsed().as_secs_f64();
        let pixels = start::pixels();
        let images = &pixels[..batch * detector.image_len()];
        // The first images, so that others can tell whether they compute the same.
        let first = detector.score(images).expect("scores");
        let [median, p95] = time(seconds, |batches| {
            for _ in 0..batches {
                detector.score(images).expect("scores");
            }
        });
        Measured {
            work: self,
            batch,
            device: name,
            median_ms: 1e3 * median,
            p95_ms: 1e3 * p95,
            macs: file.architecture.generator_macs() * batch as u64,
            loading_s,
            dispatches: None,
            outside_convolutions: None,
            losses: vec![first],
            kernels: Vec::new(),
        }
    }
}

/// Takes the first steps, and says what the losses were.
fn first_losses(executor: &mut dyn Executor, step: &Step, id: ProgramId, variables: &Variables) -> Vec<Vec<f32>> {
    executor.run(id, TOLD).expect("a run");
    let wanted: Vec<Readback> = step.histories.iter().map(|&history| Readback::Variable(history)).collect();
    let read = executor.read(&wanted).and_then(|pending| pending.wait()).expect("losses");
    let widths = step.histories.iter().map(|&history| variables.shape(history)[3]);
    let histories: Vec<(Vec<f32>, usize)> = read.into_iter().zip(widths).collect();
    (0..TOLD)
        .map(|row| histories.iter().flat_map(|(values, width)| values[row * width..][..*width].to_vec()).collect())
        .collect()
}

/// Share of the kernels' time.
fn outside_convolutions(kernels: &[Timed]) -> f64 {
    let seconds = |arithmetic: bool| -> f64 {
        kernels.iter().filter(|kernel| (kernel.macs > 0) == arithmetic).map(|kernel| kernel.seconds).sum()
    };
    seconds(false) / (seconds(false) + seconds(true))
}
