//! The GPU executor itself: opens an adapter, holds variables and programs, runs and reads. It knows no op.

use std::sync::Arc;

use super::adapter::{DEVICE_TIMEOUT, GpuOptions, choose, summary};
use super::context::{DeviceContext, Groups, no_thread};
use super::loaded::Loaded;
use super::pipeline_cache::PipelineCache;
use super::pipelines::Pipelines;
use super::readback::Mapping;
use super::reports::Reports;
use super::submitter::Submitter;
use super::watchdog::watched;
use crate::engine::error::EngineError;
use crate::engine::executor::{Executor, Pending, ProgramId, Programs, Readback, State};
use crate::engine::kernel::{AdapterKind, MAX_BINDINGS, Target};
use crate::engine::program::{Program, elements_of, expect_len, expect_within};
use crate::engine::shape::count;
use crate::engine::summary::AdapterSummary;
use crate::engine::tuning::KernelChoices;
use crate::engine::variables::{VarId, Variables};

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
    pub(super) context: DeviceContext,
    summary: AdapterSummary,
    pub(in crate::engine) target: Target,
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
    /// [`EngineError::NoAdapter`] if it is not there or refuses, [`EngineError::TimedOut`] if its driver does not come
    /// back.
    pub fn open(options: &GpuOptions) -> Result<Self, EngineError> {
        let timeout = options.timeout.unwrap_or(DEVICE_TIMEOUT);
        let wanted = options.clone();
        let Opened { adapter, device, queue } =
            watched("the opening of the adapter", timeout, move || Opened::new(&wanted))??;
        let summary = summary(&adapter);
        let cache = options.pipelines.as_ref();
        let cache = cache.and_then(|store| PipelineCache::open(&device, &adapter.get_info(), store));
        let pipelines = Pipelines::new(cache);
        let mut gpu = Self {
            target: Target {
                adapter: AdapterKind::of(summary.is_software() && !options.gpu_kernels),
                convolution: options.convolution,
                choices: KernelChoices::default(),
                half_precision: device.features().contains(wgpu::Features::SHADER_F16),
                max_bindings: match options.alone {
                    true => 0,
                    false => MAX_BINDINGS.min(device.limits().max_storage_buffers_per_shader_stage as usize),
                },
            },
            context: DeviceContext {
                reports: Reports::of(&device),
                submitter: Submitter::of(&queue).map_err(|error| no_thread("submissions", &error))?,
                device,
                queue,
                timeout,
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
            gpu.target.choices = measurements.choices(&gpu.measured_on());
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
        self.programs.expect_inputs(program)?;
        let loaded = self.programs.get(program)?;
        self.latest = loaded.name.clone();
        self.runs += 1;
        if let Some(fault) = &self.context.fault {
            fault.before_run(&self.context, self.runs, &self.latest)?;
        }
        let mut encoder = self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        loaded.encode(&mut encoder, times, |_| {});
        Ok(encoder)
    }

    /// The kernels of convolutions, where those are not the default.
    pub(crate) fn choices(&self) -> &KernelChoices {
        &self.target.choices
    }

    /// How many kernels are compiled and kept.
    pub(crate) fn compiled_kernels(&self) -> usize {
        self.pipelines.len()
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
                let buffer = self.context.storage(&what, variables.group_len(group))?;
                self.groups.insert(group, buffer);
            }
        }
        self.context.reports.check("the allocation of variables")
    }

    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError> {
        self.allocate(&program.variables)?;
        let loaded = Loaded::new(&self.context, &mut self.pipelines, &self.target, &self.groups, program)?;
        Ok(self.programs.add(loaded.program.input_names(), loaded))
    }

    fn expect_room(&self, program: &Program) -> Result<(), EngineError> {
        program.buffers().try_for_each(|(what, len)| self.context.expect_storage(&what, len))?;
        let launches = program.launches(&self.target);
        launches.iter().try_for_each(|launch| self.context.check_launch(&launch.label(program), launch))
    }

    fn choose_kernels(&mut self, choices: &KernelChoices) {
        self.target.choices = choices.clone();
    }

    fn unload(&mut self, program: ProgramId) {
        if let Some(loaded) = self.programs.remove(program) {
            self.pipelines.release(loaded.into_pipelines());
        }
    }

    fn write(&mut self, variable: VarId, values: &[f32]) -> Result<(), EngineError> {
        self.variables.expect(variable)?;
        expect_len(self.variables.name(variable), self.variables.shape(variable), values.len())?;
        let offset = 4 * self.variables.offset(variable) as u64;
        self.context.queue.write_buffer(&self.groups[&variable.group], offset, bytemuck::cast_slice(values));
        Ok(())
    }

    fn write_part(&mut self, variable: VarId, first: usize, values: &[f32]) -> Result<(), EngineError> {
        self.write_bytes(variable, first, bytemuck::cast_slice(values))
    }

    fn write_bytes(&mut self, variable: VarId, first: usize, bytes: &[u8]) -> Result<(), EngineError> {
        self.variables.expect(variable)?;
        let len = elements_of(self.variables.name(variable), bytes.len())?;
        expect_within(self.variables.name(variable), self.variables.shape(variable), first, len)?;
        let offset = 4 * (self.variables.offset(variable) + first) as u64;
        // It takes its turn in the queue: after what was submitted, before what comes.
        self.context.queue.write_buffer(&self.groups[&variable.group], offset, bytes);
        Ok(())
    }

    fn input(&mut self, program: ProgramId, name: &str, values: &[f32]) -> Result<(), EngineError> {
        let loaded = self.programs.get(program)?;
        let place = loaded.program.input(name, values.len())?;
        let buffer = loaded.buffer(&self.groups, place);
        self.context.queue.write_buffer(buffer, 4 * place.offset as u64, bytemuck::cast_slice(values));
        self.programs.set_input(program, name);
        Ok(())
    }

    fn run(&mut self, program: ProgramId, times: usize) -> Result<(), EngineError> {
        let encoder = self.encode(program, times)?;
        self.context.submit(encoder.finish(), &self.latest)?;
        self.context.reports.check(&self.latest)
    }

    fn run_and_read(&mut self, program: ProgramId, what: &[Readback]) -> Result<Pending, EngineError> {
        let encoder = self.encode(program, 1)?;
        let mapping = Mapping::begin(&self.context, encoder, &self.sources(what)?, self.latest.clone())?;
        Ok(Pending(State::InFlight(Box::new(mapping))))
    }

    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError> {
        let encoder = self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mapping = Mapping::begin(&self.context, encoder, &self.sources(what)?, self.latest.clone())?;
        Ok(Pending(State::InFlight(Box::new(mapping))))
    }
}
