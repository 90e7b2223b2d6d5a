//! Pipelines by the text of their kernels, each compiled once, on all cores. Those that no program uses are kept up to a
//! bound. It knows no buffers.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, mpsc};

use super::context::{DeviceContext, no_thread};
use super::kept::{Entry, Kept};
use super::pipeline_cache::PipelineCache;
use super::reports::{named, with_error_scope, words};
use crate::engine::error::EngineError;
use crate::engine::kernel::{Binding, Launch};
use crate::threads::start_each;

/// Most pipelines that are kept though no program uses them. A driver may hold megabytes for each.
const MAX_UNUSED: usize = 64;

/// A kernel ready to run.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// A kernel that programs share.
pub(super) type SharedPipeline = Arc<Entry<Pipeline>>;

/// A kernel to be made ready.
#[derive(Clone, Copy)]
pub(super) struct Kernel<'a> {
    pub launch: &'a Launch,
    /// The ops that it belongs to.
    pub op: &'a str,
}

/// Kernels by their text, each compiled once.
pub(super) struct Pipelines {
    compiled: Kept<Pipeline>,
    cache: Option<PipelineCache>,
}

/// A kernel that is not compiled yet.
struct Job {
    source: String,
    launch: Launch,
    op: String,
}

impl Pipelines {
    /// None yet; those to come may be found in a cache.
    pub(super) fn new(cache: Option<PipelineCache>) -> Self {
        Self { compiled: Kept::new(MAX_UNUSED), cache }
    }

    /// The pipelines of `kernels`, in their order. New ones are compiled on all cores.
    ///
    /// # Errors
    /// The first kernel that the driver refuses, and [`EngineError::TimedOut`] for one that it does not finish.
    pub(super) fn of(
        &mut self,
        context: &DeviceContext,
        kernels: &[Kernel],
    ) -> Result<Vec<SharedPipeline>, EngineError> {
        let sources: Vec<String> = kernels.iter().map(|kernel| source(context, kernel.launch)).collect();
        let mut wanted: HashSet<&str> = HashSet::new();
        let missing = sources.iter().zip(kernels).filter(|(source, _)| !self.compiled.contains(source));
        let missing = missing.filter(|(source, _)| wanted.insert(source));
        let jobs: Vec<Job> = missing
            .map(|(source, Kernel { launch, op })| Job {
                source: source.clone(),
                launch: (*launch).clone(),
                op: (*op).to_owned(),
            })
            .collect();
        if !jobs.is_empty() {
            let made = compile_all(context, self.cache.as_ref().map(PipelineCache::cache), jobs)?;
            made.into_iter().for_each(|(source, pipeline)| self.compiled.insert(source, pipeline));
            self.cache.iter_mut().for_each(PipelineCache::save);
        }
        let ready = sources.iter().zip(kernels).map(|(source, kernel)| {
            let missing = || EngineError::Kernel {
                op: kernel.op.to_owned(),
                shader: kernel.launch.shader(),
                problem: "it was not compiled".into(),
            };
            self.compiled.get(source).ok_or_else(missing)
        });
        let ready = ready.collect();
        self.compiled.trim();
        ready
    }

    /// Takes back the pipelines of a program that is no longer loaded.
    pub(super) fn release(&mut self, pipelines: Vec<SharedPipeline>) {
        self.compiled.release(pipelines);
    }

    /// How many are compiled, used or not.
    pub(super) fn len(&self) -> usize {
        self.compiled.len()
    }
}

/// A kernel's text, with the fault that it is to have.
fn source(context: &DeviceContext, launch: &Launch) -> String {
    let text = launch.wgsl();
    match &context.fault {
        Some(fault) => fault.text(&launch.shader(), text),
        None => text,
    }
}

/// Compiles on all cores. The threads are joined once all is compiled: one that hangs in the driver cannot be ended.
fn compile_all(
    context: &DeviceContext,
    cache: Option<&wgpu::PipelineCache>,
    jobs: Vec<Job>,
) -> Result<Vec<(String, Pipeline)>, EngineError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let mut unfinished: BTreeMap<usize, String> =
        jobs.iter().enumerate().map(|(number, job)| (number, job.op.clone())).collect();
    let queue = Arc::new(Mutex::new(jobs.into_iter().enumerate()));
    let (sender, finished) = mpsc::channel();
    let workers = start_each(0..threads, |_| {
        let (queue, sender, device, cache) = (queue.clone(), sender.clone(), context.device.clone(), cache.cloned());
        std::thread::Builder::new().spawn(move || {
            let next = || queue.lock().ok().and_then(|mut queue| queue.next());
            while let Some((number, job)) = next() {
                let compiled = compile(&device, cache.as_ref(), &job);
                // Nobody waits any more after an error.
                let _ = sender.send((number, compiled.map(|pipeline| (job.source, pipeline))));
            }
        })
    });
    let workers = workers.map_err(|error| no_thread("the compilation of kernels", &error))?;
    drop(sender);
    let mut outcomes = BTreeMap::new();
    while let Some(op) = unfinished.values().next() {
        let during = format!("the compilation of the kernels of {op}");
        let (number, outcome) = finished.recv_timeout(context.timeout).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => context.timed_out(&during),
            mpsc::RecvTimeoutError::Disconnected => {
                EngineError::Device { during: during.clone(), problem: "its driver failed".into() }
            }
        })?;
        unfinished.remove(&number);
        outcomes.insert(number, outcome);
    }
    // Nothing is left for them to do; a panic would have shown as an outcome that is missing.
    workers.into_iter().for_each(|worker| drop(worker.join()));
    outcomes.into_values().collect()
}

fn compile(device: &wgpu::Device, cache: Option<&wgpu::PipelineCache>, job: &Job) -> Result<Pipeline, EngineError> {
    with_error_scope(device, || pipeline(device, cache, &job.source, &job.launch)).map_err(|error| match error {
        wgpu::Error::OutOfMemory { .. } => named(&format!("the kernel of {}", job.op), &error),
        _ => EngineError::Kernel { op: job.op.clone(), shader: job.launch.shader(), problem: words(&error) },
    })
}

#[allow(unsafe_code, reason = "wgpu leaves loops unbounded to those who vouch for them")]
fn pipeline(device: &wgpu::Device, cache: Option<&wgpu::PipelineCache>, source: &str, launch: &Launch) -> Pipeline {
    let shader = launch.shader();
    let label = Some(shader.as_str());
    let descriptor = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(source.into()) };
    let checks = wgpu::ShaderRuntimeChecks {
        force_loop_bounding: launch.loops_bounded(),
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    // SAFETY: every other check is on, and a dispatch leaves loops unbounded only where they end by themselves; see
    // `Dispatch::loops_bounded`.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let entries: Vec<wgpu::BindGroupLayoutEntry> =
        launch.bindings.iter().enumerate().map(|(number, binding)| layout_entry(number as u32, binding)).collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Kernels write workgroup memory before they read it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache,
    });
    Pipeline { pipeline, layout }
}

fn layout_entry(number: u32, binding: &Binding) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding: number,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: !binding.writes },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
