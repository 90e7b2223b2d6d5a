use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::adapter::{AdapterSummary, GpuOptions, choose, summary};
use super::loaded::Loaded;
use super::pipelines::Pipelines;
use super::readback::Mapping;
use crate::engine::error::EngineError;
use crate::engine::executor::{Executor, Pending, ProgramId, Programs, Readback, State};
use crate::engine::ops::kernel::{ConvVariant, Tuning};
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
    /// The first error that the driver reported and nobody has seen yet.
    failure: Arc<Mutex<Option<String>>>,
}

impl Shared {
    /// Passes on what the driver has reported since the last check.
    pub fn check(&self, during: &str) -> Result<(), EngineError> {
        match self.failure.lock().ok().and_then(|mut failure| failure.take()) {
            Some(problem) => Err(EngineError::Device { during: during.into(), problem }),
            None => Ok(()),
        }
    }

    /// Refuses a launch that is too large for the adapter.
    pub fn check_workgroups(&self, label: &str, workgroups: [u32; 3]) -> Result<(), EngineError> {
        let limit = self.device.limits().max_compute_workgroups_per_dimension;
        match workgroups.iter().find(|&&n| n > limit) {
            Some(n) => Err(EngineError::Limit {
                what: label.into(),
                needed: format!("{n} workgroups in a row"),
                limit: limit.to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// A storage buffer with this content, padded to whole `vec4`.
pub(super) fn storage(shared: &Shared, label: &str, content: &[f32]) -> Result<wgpu::Buffer, EngineError> {
    let size = 4 * content.len().next_multiple_of(4) as u64;
    let limits = shared.device.limits();
    let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
    if size > limit {
        let needed = format!("{} MiB", size >> 20);
        return Err(EngineError::Limit {
            what: format!("a {label} buffer"),
            needed,
            limit: format!("{} MiB", limit >> 20),
        });
    }
    let buffer = shared.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    shared.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(content));
    Ok(buffer)
}

/// The executor that runs kernels through wgpu.
pub struct Gpu {
    pub(super) shared: Shared,
    summary: AdapterSummary,
    tuning: Tuning,
    variables: Variables,
    pub(super) groups: Groups,
    pipelines: Pipelines,
    pub(super) programs: Programs<Loaded>,
}

impl Gpu {
    /// Opens the adapter that the options ask for.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] if it is not there or refuses.
    pub fn open(options: &GpuOptions) -> Result<Self, EngineError> {
        let adapter = choose(options.adapter.as_deref())?;
        let summary = summary(&adapter);
        let timestamps = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let half = if options.without_half { wgpu::Features::empty() } else { wgpu::Features::SHADER_F16 };
        let request = wgpu::DeviceDescriptor {
            label: Some("pkdgan"),
            required_features: adapter.features() & (timestamps | half),
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&request))
            .map_err(|e| EngineError::NoAdapter { problem: format!("{} refused: {e}", summary.name) })?;
        let failure = Arc::new(Mutex::new(None));
        let report = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            if let Ok(mut failure) = report.lock() {
                failure.get_or_insert(error.to_string());
            }
        }));
        let software = summary.is_software();
        let suited = if software { ConvVariant::Register } else { ConvVariant::Tiled };
        Ok(Self {
            tuning: Tuning {
                software,
                convolution: options.convolution.unwrap_or(suited),
                half_precision: device.features().contains(wgpu::Features::SHADER_F16),
            },
            shared: Shared { device, queue, failure },
            summary,
            variables: Variables::new(),
            groups: Groups::new(),
            pipelines: Pipelines::default(),
            programs: Programs::default(),
        })
    }

    /// The adapter in use.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }
}

impl Executor for Gpu {
    fn allocate(&mut self, variables: &Variables) -> Result<(), EngineError> {
        self.variables = self.variables.latest(variables)?.clone();
        for group in variables.groups() {
            if !self.groups.contains_key(&group) {
                let zeros = vec![0.0; variables.group_len(group).max(4)];
                let buffer = storage(&self.shared, variables.group_name(group), &zeros)?;
                self.groups.insert(group, buffer);
            }
        }
        self.shared.check("the allocation of variables")
    }

    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError> {
        self.allocate(&program.variables)?;
        let loaded = Loaded::new(&self.shared, &mut self.pipelines, &self.tuning, &self.groups, program)?;
        Ok(self.programs.add(loaded))
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
        let loaded = self.programs.get(program)?;
        let mut encoder = self.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for _ in 0..times {
                for launch in &loaded.launches {
                    launch.encode(&mut pass);
                }
            }
        }
        self.shared.queue.submit([encoder.finish()]);
        Ok(())
    }

    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError> {
        let mut sources = Vec::with_capacity(what.len());
        for item in what {
            sources.push(match *item {
                Readback::Variable(variable) => {
                    self.variables.expect(variable)?;
                    let len = count(self.variables.shape(variable));
                    (&self.groups[&variable.group], self.variables.offset(variable), len)
                }
                Readback::Output(id, name) => {
                    let loaded = self.programs.get(id)?;
                    let place = loaded.program.output(name)?;
                    (loaded.buffer(&self.groups, place), place.offset, place.len)
                }
            });
        }
        Ok(Pending(State::InFlight(Mapping::begin(&self.shared, &sources))))
    }
}
