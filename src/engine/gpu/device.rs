use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::adapter::{AdapterSummary, GpuOptions, PATIENCE, choose, summary};
use super::faults::Fault;
use super::given_up::{give_driver_up, watched};
use super::loaded::Loaded;
use super::pipeline_cache::PipelineCache;
use super::pipelines::Pipelines;
use super::readback::Mapping;
use super::reports::{Reports, heard, named};
use super::submitter::Submitter;
use crate::engine::choices::KernelChoices;
use crate::engine::error::EngineError;
use crate::engine::executor::{Executor, Pending, ProgramId, Programs, Readback, State};
use crate::engine::ops::kernel::{Dispatch, Tuning};
use crate::engine::program::{Program, expect_len};
use crate::engine::shape::count;
use crate::engine::variables::{GroupId, VarId, Variables};

/// The device buffer of each group of variables.
pub(super) type Groups = HashMap<GroupId, wgpu::Buffer>;

/// What the parts of the executor have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    submitter: Submitter,
    pub reports: Reports,
    /// How long the device may take for what is waited for.
    pub patience: Duration,
    pub fault: Option<Fault>,
    /// Staging buffers that no read-back uses at present.
    pub staging: Arc<Mutex<Vec<wgpu::Buffer>>>,
}

impl Shared {
    /// A buffer of so many bytes for `what`, filled with zeros.
    ///
    /// # Errors
    /// [`EngineError::Limit`] and [`EngineError::OutOfMemory`]; nothing else was given memory for it.
    pub fn buffer(&self, what: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, EngineError> {
        let limits = self.device.limits();
        let bound = usage.contains(wgpu::BufferUsages::STORAGE);
        let limit = if bound { limits.max_storage_buffer_binding_size } else { limits.max_buffer_size };
        let limit = limit.min(limits.max_buffer_size);
        if size > limit {
            let what = what.into();
            return Err(EngineError::Limit { what, needed: in_words(size), limit: in_words(limit) });
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
        heard(&self.device, || self.device.create_buffer(&descriptor)).map_err(|error| named(what, &error))
    }

    /// A buffer of so many `f32` that kernels read and write, padded to whole `vec4`.
    pub fn storage(&self, what: &str, len: usize) -> Result<wgpu::Buffer, EngineError> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.buffer(what, 4 * len.max(1).next_multiple_of(4) as u64, usage)
    }

    /// As [`Self::storage`], filled with NaN, so that an element which no kernel writes shows.
    pub fn poisoned(&self, what: &str, len: usize) -> Result<wgpu::Buffer, EngineError> {
        const PIECE: usize = 1 << 20;
        let buffer = self.storage(what, len)?;
        let numbers = vec![f32::NAN; len.min(PIECE)];
        for start in (0..len).step_by(PIECE) {
            let piece = &numbers[..(len - start).min(PIECE)];
            self.queue.write_buffer(&buffer, 4 * start as u64, bytemuck::cast_slice(piece));
        }
        Ok(buffer)
    }

    /// Refuses a launch that is too large for the adapter.
    pub fn check_launch(&self, label: &str, dispatch: &Dispatch) -> Result<(), EngineError> {
        let limits = self.device.limits();
        let (most, bindings) = (limits.max_compute_workgroups_per_dimension, dispatch.bindings.len() as u32);
        let refused = |needed: String, limit: u32| {
            Err(EngineError::Limit { what: label.into(), needed, limit: limit.to_string() })
        };
        if let Some(n) = dispatch.workgroups.iter().find(|&&n| n > most) {
            return refused(format!("{n} workgroups in a row"), most);
        }
        if bindings > limits.max_storage_buffers_per_shader_stage {
            return refused(format!("{bindings} buffers at once"), limits.max_storage_buffers_per_shader_stage);
        }
        Ok(())
    }

    /// Hands work to the driver, but does not wait for ever until it has taken it.
    pub fn submit(&self, commands: wgpu::CommandBuffer, during: &str) -> Result<wgpu::SubmissionIndex, EngineError> {
        self.submitter.submit(commands, self.patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.give_up(during),
            RecvTimeoutError::Disconnected => driver_failed(during),
        })
    }

    /// Waits until a submission is done, but not for ever.
    pub fn wait(&self, submission: &wgpu::SubmissionIndex, during: &str) -> Result<(), EngineError> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(self.patience) };
        // wgpu panics where the driver loses the device while it is waited for.
        match catch_unwind(AssertUnwindSafe(|| self.device.poll(wait))) {
            Ok(Ok(_)) => self.reports.check(during),
            Ok(Err(wgpu::PollError::Timeout)) => Err(self.give_up(during)),
            // The submission was refused, and the driver's reason is on its way.
            Ok(Err(error)) => {
                let _ = self.device.poll(wgpu::PollType::Poll);
                self.reports.check(during)?;
                Err(EngineError::Device { during: during.into(), problem: error.to_string() })
            }
            Err(_) => {
                self.leak();
                self.reports.check(during)?;
                Err(EngineError::Lost { during: during.into(), problem: "its driver failed".into() })
            }
        }
    }

    /// The error of a device that did not finish `during` in time.
    pub fn give_up(&self, during: &str) -> EngineError {
        self.leak();
        EngineError::TimedOut { during: during.into(), seconds: self.patience.as_secs_f64() }
    }

    /// Keeps a device that hangs from being dropped: that waits until it has done all its work.
    fn leak(&self) {
        std::mem::forget((self.device.clone(), self.queue.clone()));
        give_driver_up();
    }
}

pub(super) fn driver_failed(during: &str) -> EngineError {
    EngineError::Device { during: during.into(), problem: "its driver failed".into() }
}

/// A number of bytes.
fn in_words(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{bytes} bytes") } else { format!("{} MiB", bytes >> 20) }
}

/// An adapter in use.
struct Opened {
    adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl Opened {
    fn new(options: &GpuOptions) -> Result<Self, EngineError> {
        let adapter = choose(options.adapter.as_deref())?;
        let summary = summary(&adapter);
        let timestamps = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let half = if options.without_half { wgpu::Features::empty() } else { wgpu::Features::SHADER_F16 };
        let request = wgpu::DeviceDescriptor {
            label: Some("pkdgan"),
            required_features: adapter.features() & (timestamps | half | wgpu::Features::PIPELINE_CACHE),
            required_limits: options.fault.iter().fold(adapter.limits(), |limits, fault| fault.limits(limits)),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&request))
            .map_err(|e| EngineError::NoAdapter { problem: format!("{} refused: {e}", summary.name) })?;
        Ok(Self { adapter, device, queue })
    }
}

/// The executor that runs kernels through wgpu.
pub struct Gpu {
    pub(super) shared: Shared,
    summary: AdapterSummary,
    pub(super) tuning: Tuning,
    variables: Variables,
    pub(super) groups: Groups,
    pipelines: Pipelines,
    pub(super) programs: Programs<Loaded>,
    /// How often a program was run.
    runs: u64,
    /// What was run last, for errors.
    latest: Arc<str>,
}

impl Gpu {
    /// Opens the adapter that the options ask for.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] if it is not there or refuses, [`EngineError::TimedOut`] if its driver does not come back.
    pub fn open(options: &GpuOptions) -> Result<Self, EngineError> {
        let patience = options.patience.unwrap_or(PATIENCE);
        let wanted = options.clone();
        let Opened { adapter, device, queue } =
            watched("the opening of the adapter", patience, move || Opened::new(&wanted))??;
        let summary = summary(&adapter);
        let cache = options.pipelines.as_ref();
        let cache = cache.and_then(|store| PipelineCache::open(&device, &adapter.get_info(), store));
        let pipelines = Pipelines::new(cache);
        let mut gpu = Self {
            tuning: Tuning {
                software: summary.is_software(),
                convolution: options.convolution,
                choices: KernelChoices::default(),
                half_precision: device.features().contains(wgpu::Features::SHADER_F16),
            },
            shared: Shared {
                reports: Reports::of(&device),
                submitter: Submitter::of(&queue),
                device,
                queue,
                patience,
                fault: options.fault.clone(),
                staging: Arc::default(),
            },
            summary,
            variables: Variables::new(),
            groups: Groups::new(),
            pipelines,
            programs: Programs::default(),
            runs: 0,
            latest: "the upload of variables".into(),
        };
        if let Some(measurements) = &options.measurements {
            gpu.tuning.choices = measurements.choices(&gpu.measured_on());
        }
        Ok(gpu)
    }

    /// Where the things to read back lie: buffer, offset and length in `f32`.
    fn sources(&self, what: &[Readback]) -> Result<Vec<(&wgpu::Buffer, usize, usize)>, EngineError> {
        let source = |item: &Readback| match *item {
            Readback::Variable(variable) => {
                self.variables.expect(variable)?;
                let len = count(self.variables.shape(variable));
                Ok((&self.groups[&variable.group], self.variables.offset(variable), len))
            }
            Readback::Output(id, name) => {
                let loaded = self.programs.get(id)?;
                let place = loaded.program.output(name)?;
                Ok((loaded.buffer(&self.groups, place), place.offset, place.len))
            }
        };
        what.iter().map(source).collect()
    }

    /// Records so many runs of a program.
    fn encode(&mut self, program: ProgramId, times: usize) -> Result<wgpu::CommandEncoder, EngineError> {
        let loaded = self.programs.get(program)?;
        self.latest = loaded.name.clone();
        self.runs += 1;
        if let Some(fault) = &self.shared.fault {
            fault.before_run(&self.shared, self.runs, &self.latest)?;
        }
        let mut encoder = self.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        loaded.encode(&mut encoder, times, |_| {});
        Ok(encoder)
    }

    /// The kernels of convolutions, where those are not the default.
    pub fn choices(&self) -> &KernelChoices {
        &self.tuning.choices
    }

    /// The adapter in use.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }
}

impl Executor for Gpu {
    fn summary(&self) -> AdapterSummary {
        self.summary.clone()
    }

    fn allocate(&mut self, variables: &Variables) -> Result<(), EngineError> {
        self.variables = self.variables.latest(variables)?.clone();
        for group in variables.groups() {
            if !self.groups.contains_key(&group) {
                let what = format!("the variables `{}`", variables.group_name(group));
                let buffer = self.shared.storage(&what, variables.group_len(group))?;
                self.groups.insert(group, buffer);
            }
        }
        self.shared.reports.check("the allocation of variables")
    }

    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError> {
        self.allocate(&program.variables)?;
        let loaded = Loaded::new(&self.shared, &mut self.pipelines, &self.tuning, &self.groups, program)?;
        Ok(self.programs.add(loaded))
    }

    fn choose_kernels(&mut self, choices: &KernelChoices) {
        self.tuning.choices = choices.clone();
    }

    fn unload(&mut self, program: ProgramId) {
        self.programs.remove(program);
    }

    fn write(&mut self, variable: VarId, values: &[f32]) -> Result<(), EngineError> {
        self.variables.expect(variable)?;
        expect_len(self.variables.name(variable), self.variables.shape(variable), values.len())?;
        let offset = 4 * self.variables.offset(variable) as u64;
        self.shared.queue.write_buffer(&self.groups[&variable.group], offset, bytemuck::cast_slice(values));
        Ok(())
    }

    fn input(&mut self, program: ProgramId, name: &str, values: &[f32]) -> Result<(), EngineError> {
        let loaded = self.programs.get(program)?;
        let place = loaded.program.input(name, values.len())?;
        let buffer = loaded.buffer(&self.groups, place);
        self.shared.queue.write_buffer(buffer, 4 * place.offset as u64, bytemuck::cast_slice(values));
        Ok(())
    }

    fn run(&mut self, program: ProgramId, times: usize) -> Result<(), EngineError> {
        let encoder = self.encode(program, times)?;
        self.shared.submit(encoder.finish(), &self.latest)?;
        self.shared.reports.check(&self.latest)
    }

    fn run_and_read(&mut self, program: ProgramId, what: &[Readback]) -> Result<Pending, EngineError> {
        let encoder = self.encode(program, 1)?;
        let mapping = Mapping::begin(&self.shared, encoder, &self.sources(what)?, self.latest.clone())?;
        Ok(Pending(State::InFlight(mapping)))
    }

    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError> {
        let encoder = self.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mapping = Mapping::begin(&self.shared, encoder, &self.sources(what)?, self.latest.clone())?;
        Ok(Pending(State::InFlight(mapping)))
    }
}
