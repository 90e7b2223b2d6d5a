//! `pkdgan model --program`: what a training step is made of, and where its time goes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use pkdgan::engine::{Cpu, EngineError, Executor, ProgramId, Readback, VarId};
use pkdgan::unstable::engine::{CpuInternals, GpuInternals, Timed};
use pkdgan::unstable::train::{Stage, Traced, TrainError};
use serde::Serialize;

use super::device::Device;
use super::output;
use super::settings::Settings;
use super::units::count;

/// Arguments of `pkdgan model` that ask for a training step.
#[derive(Args)]
pub(super) struct Program {
    /// Print the dispatches of a training step instead, each with its time and multiply-accumulates a second
    #[arg(long, help_heading = "Program")]
    program: bool,
    /// The stage whose step it is: `teacher`, `alone`, `step1` or `step2`
    #[arg(long, value_name = "STAGE", default_value_t = Stage::Teacher, value_parser = stage, help_heading = "Program", requires = "program")]
    stage: Stage,
    /// Images of the step [default: the stage's]
    #[arg(long, value_name = "N", help_heading = "Program", requires = "program")]
    batch: Option<usize>,
    #[command(flatten)]
    device: Device,
}

/// Time that steps are repeated for, and that kernels are timed for.
const TIME: Duration = Duration::from_millis(600);
/// Most steps that either takes.
const MAX_RUNS: usize = 64;
/// Images that the step takes its batch from.
const IMAGES: usize = 64;

fn stage(name: &str) -> Result<Stage, String> {
    let found = Stage::ALL.into_iter().find(|stage| stage.name() == name);
    found.ok_or_else(|| format!("no stage; there are {}", Stage::ALL.map(Stage::name).join(", ")))
}

/// A training step taken apart.
#[derive(Serialize)]
struct Figures {
    stage: Stage,
    batch: usize,
    adapter: String,
    macs: u64,
    /// Why there are no times, where there are none.
    untimed: Option<&'static str>,
    /// The median of a step among many in one submission.
    step_seconds: f64,
    /// Of it, the share that is spent in kernels that do not multiply, and outside kernels.
    not_arithmetic: Option<f64>,
    shaders: Vec<Sum>,
    dispatches: Vec<Dispatch>,
}

/// All dispatches of a shader.
#[derive(Serialize)]
struct Sum {
    shader: String,
    dispatches: usize,
    macs: u64,
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct Dispatch {
    op: String,
    shader: String,
    workgroups: [u32; 3],
    macs: u64,
    seconds: Option<f64>,
    gmacs: Option<f64>,
}

impl Program {
    /// Whether the step is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.program
    }

    /// Prints the step.
    pub(super) fn print(&self, settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
        let figures = self.figures(settings)?;
        if json {
            output::line(serde_json::to_string_pretty(&figures)?)?;
        } else {
            output::text(figures.table())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn figures(&self, settings: &Settings) -> anyhow::Result<Figures> {
        let stage = self.stage;
        let key = match stage {
            Stage::Teacher => "training".into(),
            Stage::Alone => "student.alone".into(),
            step => format!("distillation.{step}"),
        };
        let batch = self.batch.map(|batch| format!("{key}.batch_size={batch}"));
        let config = settings.resolve(&batch.into_iter().collect::<Vec<_>>())?;
        let traced = Traced::new(&config, stage, IMAGES)?;
        let macs = traced.program()?.macs();
        let clock = traced.step.clock;
        let (adapter, step_seconds, timed, untimed) = match self.device.adapter()? {
            Some(mut gpu) => {
                let program = traced.load(&config, &mut gpu)?;
                let step = step_seconds(&mut gpu, program, clock)?;
                let runs = (TIME.as_secs_f64() / step) as usize;
                gpu.write(clock, &[0.0])?;
                match gpu.profile(program, runs.clamp(1, MAX_RUNS))? {
                    Some(timed) => (gpu.summary().to_string(), step, timed, None),
                    None => {
                        let why = "the adapter has no clock that can be read between dispatches";
                        (gpu.summary().to_string(), step, gpu.launched(program)?, Some(why))
                    }
                }
            }
            None => {
                let mut cpu = Cpu::new();
                let program = traced.load(&config, &mut cpu)?;
                let step = step_seconds(&mut cpu, program, clock)?;
                cpu.write(clock, &[0.0])?;
                (Executor::summary(&cpu).to_string(), step, cpu.profile(program)?, None)
            }
        };
        Ok(Figures::new(stage, stage.budget(&config).batch_size, adapter, macs, step_seconds, timed, untimed))
    }
}

/// Seconds of a step: the median of several submissions of some steps.
fn step_seconds(executor: &mut dyn Executor, program: ProgramId, clock: VarId) -> Result<f64, TrainError> {
    let mut run = |times: usize| -> Result<f64, EngineError> {
        // The schedules end somewhere.
        executor.write(clock, &[0.0])?;
        let started = Instant::now();
        executor.run(program, times)?;
        executor.read(&[Readback::Variable(clock)])?.wait()?;
        Ok(started.elapsed().as_secs_f64() / times as f64)
    };
    run(1)?;
    let first = run(1)?;
    let times = ((0.1 / first.max(1e-9)) as usize).clamp(1, MAX_RUNS);
    let submissions = (TIME.as_secs_f64() / (first * times as f64).max(1e-9)) as usize;
    let mut seconds = (0..submissions.clamp(3, 31)).map(|_| run(times)).collect::<Result<Vec<f64>, _>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

impl Figures {
    fn new(
        stage: Stage,
        batch: usize,
        adapter: String,
        macs: u64,
        step_seconds: f64,
        timed: Vec<Timed>,
        untimed: Option<&'static str>,
    ) -> Self {
        let known = |seconds: f64| untimed.is_none().then_some(seconds);
        let kernels: f64 = timed.iter().map(|timed| timed.seconds).sum();
        let arithmetic: f64 = timed.iter().filter(|timed| timed.macs > 0).map(|timed| timed.seconds).sum();
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for timed in &timed {
            let shader = timed.shader.clone();
            let empty = Sum { shader: shader.clone(), dispatches: 0, macs: 0, seconds: known(0.0) };
            let sum = sums.entry(shader).or_insert(empty);
            sum.dispatches += 1;
            sum.macs += timed.macs;
            sum.seconds = sum.seconds.map(|seconds| seconds + timed.seconds);
        }
        let mut shaders: Vec<Sum> = sums.into_values().collect();
        shaders.sort_by(|a, b| b.seconds.unwrap_or(0.0).total_cmp(&a.seconds.unwrap_or(0.0)));
        let dispatches = timed.into_iter().map(|Timed { label, shader, macs, workgroups, seconds }| Dispatch {
            op: label,
            shader,
            workgroups,
            macs,
            seconds: known(seconds),
            gmacs: known(macs as f64 / seconds / 1e9).filter(|_| macs > 0),
        });
        // Reading the clock takes time too, so that the kernels may sum up to more than a step.
        let not_arithmetic = known(1.0 - arithmetic / step_seconds.max(kernels));
        Self {
            stage,
            batch,
            adapter,
            macs,
            untimed,
            step_seconds,
            not_arithmetic,
            shaders,
            dispatches: dispatches.collect(),
        }
    }

    fn table(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let us = |seconds: Option<f64>| seconds.map_or_else(|| "-".into(), |seconds| format!("{:.1}", 1e6 * seconds));
        let rate = |gmacs: Option<f64>| gmacs.map_or_else(|| "-".into(), |gmacs| format!("{gmacs:.2}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "device: {}", self.adapter);
        let _ = writeln!(text, "{:>10} {:>8} {:>10}  {:<15} op (kernel)", "us", "GMAC/s", "MACs", "workgroups");
        for Dispatch { op, shader, workgroups: [x, y, z], macs, seconds, gmacs } in &self.dispatches {
            let macs = if *macs > 0 { count(*macs) } else { "-".into() };
            let workgroups = if x * y * z > 0 { format!("{x}x{y}x{z}") } else { "-".into() };
            let _ =
                writeln!(text, "{:>10} {:>8} {macs:>10}  {workgroups:<15} {op} ({shader})", us(*seconds), rate(*gmacs));
        }
        let kernels: f64 = self.shaders.iter().filter_map(|sum| sum.seconds).sum();
        let _ = writeln!(text, "\n{:>10} {:>8} {:>7} {:>10}  kernel", "us", "GMAC/s", "share", "dispatches");
        for Sum { shader, dispatches, macs, seconds } in &self.shaders {
            let gmacs = seconds.map(|seconds| *macs as f64 / seconds / 1e9).filter(|_| *macs > 0);
            let share = seconds.map_or_else(|| "-".into(), |seconds| format!("{:.1} %", 100.0 * seconds / kernels));
            let _ = writeln!(text, "{:>10} {:>8} {share:>7} {dispatches:>10}  {shader}", us(*seconds), rate(gmacs));
        }
        let _ = writeln!(
            text,
            "\na step of stage {} with a batch of {}: {} dispatches, {} multiply-accumulates, {:.3} ms, {:.2} GMAC/s",
            self.stage,
            self.batch,
            self.dispatches.len(),
            count(self.macs),
            1e3 * self.step_seconds,
            self.macs as f64 / self.step_seconds / 1e9
        );
        let _ = match (self.untimed, self.not_arithmetic) {
            (Some(why), _) => writeln!(text, "no times: {why}"),
            (None, share) => writeln!(
                text,
                "{:.3} ms in kernels; not arithmetic: {:.1} % of the step (launches that do not multiply, and time outside them)",
                1e3 * kernels,
                100.0 * share.unwrap_or(f64::NAN)
            ),
        };
        text
    }
}
