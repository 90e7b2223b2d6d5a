//! What the binary, the benches and the tests need of the engine beside its public API: `pkdgan::unstable::engine`.
//!
//! Methods of public types that are fenced stand in a trait for each type. The traits compute nothing themselves.

use std::sync::Arc;

use super::error::EngineError;
use super::executor::ProgramId;
use super::gpu::{Gpu, GpuOptions};
use super::graph::{Graph, Tensor};
use super::program::Program;

pub use super::conv::{ConvShape, ConvVariant};
pub use super::cpu::CpuScorer;
pub use super::fused::{
    FusedLayer, FusedNetworks, ImplicitGemm, PackedWeights, PlannedLayer, Precision, RawLayer, Source,
};
pub use super::gpu::{Fault, NO_DRIVER, PipelineStore, UnknownFault};
pub use super::kernel::KernelText;
pub use super::number::Real;
pub use super::ops::augment::{Recolouring, Transformation};
pub use super::profile::Timed;
pub use super::reference::Reference;
pub use super::tuning::{KernelChoices, KernelTime, KernelTimes, MeasuredOn, Measurements};

/// Options of a GPU for tests, and for what the command line keeps from run to run.
pub trait GpuOptionsInternals: Sized {
    /// How to compute all convolutions; as measured, or as suits the adapter, if none.
    #[must_use]
    fn convolution(self, variant: impl Into<Option<ConvVariant>>) -> Self;

    /// Measurements of kernels, to choose those of convolutions by; the default for the kind of adapter if none.
    #[must_use]
    fn measurements(self, measurements: impl Into<Option<Arc<Measurements>>>) -> Self;

    /// Where compiled kernels are kept from one run to the next; nowhere if none.
    #[must_use]
    fn pipelines(self, store: impl Into<Option<Arc<dyn PipelineStore>>>) -> Self;

    /// Trouble made on purpose.
    #[must_use]
    fn fault(self, fault: impl Into<Option<Fault>>) -> Self;

    /// Whether to do without half-precision arithmetic in kernels, as on adapters that have none. Half-precision
    /// weights are then unpacked.
    #[must_use]
    fn without_half(self, without: bool) -> Self;

    /// Whether to run the kernels of GPUs on an adapter that is a CPU too.
    #[must_use]
    fn gpu_kernels(self, gpu_kernels: bool) -> Self;

    /// Whether to run each kernel alone.
    #[must_use]
    fn alone(self, alone: bool) -> Self;
}

impl GpuOptionsInternals for GpuOptions {
    fn convolution(self, variant: impl Into<Option<ConvVariant>>) -> Self {
        Self { convolution: variant.into(), ..self }
    }

    fn measurements(self, measurements: impl Into<Option<Arc<Measurements>>>) -> Self {
        Self { measurements: measurements.into(), ..self }
    }

    fn pipelines(self, store: impl Into<Option<Arc<dyn PipelineStore>>>) -> Self {
        Self { pipelines: store.into(), ..self }
    }

    fn fault(self, fault: impl Into<Option<Fault>>) -> Self {
        Self { fault: fault.into(), ..self }
    }

    fn without_half(self, without: bool) -> Self {
        Self { without_half: without, ..self }
    }

    fn gpu_kernels(self, gpu_kernels: bool) -> Self {
        Self { gpu_kernels, ..self }
    }

    fn alone(self, alone: bool) -> Self {
        Self { alone, ..self }
    }
}

/// What tuning, profiling and their tests ask of a GPU.
pub trait GpuInternals {
    /// The kernels of convolutions, where those are not the default.
    fn choices(&self) -> &KernelChoices;

    /// What measurements of its kernels hold for.
    fn measured_on(&self) -> MeasuredOn;

    /// Times the kernels that can compute a convolution, by the device's clock where it has one.
    ///
    /// # Errors
    /// Failures of the device, and a convolution that is too large for it.
    fn time_kernels(&mut self, shape: &ConvShape) -> Result<KernelTimes, EngineError>;

    /// Runs a program so many times and times each kernel by the device's clock: medians. `None` where the adapter has
    /// no such clock.
    ///
    /// # Errors
    /// Failures of the device, and a program that it does not hold.
    fn profile(&mut self, program: ProgramId, runs: usize) -> Result<Option<Vec<Timed>>, EngineError>;

    /// The kernels of a program, with no time taken.
    ///
    /// # Errors
    /// A program that it does not hold.
    fn launched(&self, program: ProgramId) -> Result<Vec<Timed>, EngineError>;

    /// How many kernels are compiled and kept: those of loaded programs, and some of programs that were unloaded.
    fn compiled_kernels(&self) -> usize;
}

impl GpuInternals for Gpu {
    fn choices(&self) -> &KernelChoices {
        self.choices()
    }

    fn measured_on(&self) -> MeasuredOn {
        self.measured_on()
    }

    fn time_kernels(&mut self, shape: &ConvShape) -> Result<KernelTimes, EngineError> {
        self.time_kernels(shape)
    }

    fn profile(&mut self, program: ProgramId, runs: usize) -> Result<Option<Vec<Timed>>, EngineError> {
        self.profile(program, runs)
    }

    fn launched(&self, program: ProgramId) -> Result<Vec<Timed>, EngineError> {
        self.launched(program)
    }

    fn compiled_kernels(&self) -> usize {
        self.compiled_kernels()
    }
}

/// What profiling and tests ask of the CPU executor.
pub trait CpuInternals: Sized {
    /// An executor without vectors of 16 numbers, as on processors without AVX-512.
    fn without_avx512() -> Self;

    /// Runs a program once and times each op.
    ///
    /// # Errors
    /// A program that it does not hold.
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Timed>, EngineError>;
}

impl CpuInternals for super::Cpu {
    fn without_avx512() -> Self {
        Self::without_avx512()
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Timed>, EngineError> {
        self.profile(program)
    }
}

/// The kernels of a program.
pub trait ProgramInternals {
    /// Its convolutions, each once, in the order they run first.
    fn convolutions(&self) -> Vec<ConvShape>;

    /// The kernels that one run is made of, in their order, with convolutions computed so, or as suits the adapter; on one
    /// that is a CPU if `software`, and can compute in half precision if `half_precision`. No device is needed.
    fn kernels(&self, convolution: Option<ConvVariant>, software: bool, half_precision: bool) -> Vec<KernelText>;

    /// The kernels of its convolutions with every candidate in turn.
    fn candidates(&self, software: bool) -> Vec<KernelText>;
}

impl ProgramInternals for Program {
    fn convolutions(&self) -> Vec<ConvShape> {
        self.convolutions()
    }

    fn kernels(&self, convolution: Option<ConvVariant>, software: bool, half_precision: bool) -> Vec<KernelText> {
        self.kernels(convolution, software, half_precision)
    }

    fn candidates(&self, software: bool) -> Vec<KernelText> {
        self.candidates(software)
    }
}

/// A whole generator as one op.
pub trait GraphInternals {
    /// Scores `images` `[N, C, H, W]` with a whole generator in one dispatch, a workgroup an image. `weights` are
    /// packed for the plan. Results: scores `[N, 1, 1, 1]`, reconstructions `[N, C, H, W]`, latent vectors of the
    /// images `[N, n, 1, 1]`.
    ///
    /// # Errors
    /// Shapes that do not go with the plan, and activations that workgroup memory of 16 KiB does not hold.
    fn fused_score(
        &mut self,
        images: Tensor,
        weights: Tensor,
        plan: Arc<FusedNetworks>,
        precision: Precision,
    ) -> Result<[Tensor; 3], EngineError>;

    /// The square images `x` `[N, C, S, S]`, transformed: `codes` holds a [`Transformation::code`] for each image of
    /// each step, `step` is a scalar counter. Step `s` takes the entries of `codes` from `s * N` on and starts again at
    /// its end. No gradient.
    ///
    /// # Errors
    /// Images that are not square, and a counter that is no scalar.
    fn augment(&mut self, x: Tensor, codes: Tensor, step: Tensor, max_shift: u32) -> Result<Tensor, EngineError>;
}

impl GraphInternals for Graph {
    fn augment(&mut self, x: Tensor, codes: Tensor, step: Tensor, max_shift: u32) -> Result<Tensor, EngineError> {
        self.augment(x, codes, step, max_shift)
    }

    fn fused_score(
        &mut self,
        images: Tensor,
        weights: Tensor,
        plan: Arc<FusedNetworks>,
        precision: Precision,
    ) -> Result<[Tensor; 3], EngineError> {
        self.fused_score(images, weights, plan, precision)
    }
}
