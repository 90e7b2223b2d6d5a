//! What an op hands to the executor: itself, made ready for the shapes that it works on.

use pulp::Arch;

use crate::engine::ops::{ReferenceCall, Rule};
use crate::engine::shape::Shape;

/// An op made ready for its shapes, so that nothing is decided and no memory is taken while it runs.
pub(crate) struct CpuKernel {
    /// Numbers of scratch memory that it needs.
    pub scratch: usize,
    pub packing: Option<Packing>,
    run: Box<dyn Fn(&mut Call) + Send + Sync>,
}

/// Packs the first into the second.
type Pack = dyn Fn(&[f32], &mut [f32]) + Send + Sync;

/// How an input is laid out for a kernel, once for as long as it stays the same.
pub(crate) struct Packing {
    /// Which input.
    pub input: usize,
    /// Numbers of the packed input.
    pub len: usize,
    pub pack: Box<Pack>,
    /// Whether it is worth it for one run.
    pub always: bool,
}

/// One execution of a kernel. Outputs hold what an earlier tensor left in their place.
pub(crate) struct Call<'a, 'b> {
    pub inputs: &'a [&'b [f32]],
    pub outputs: &'a mut [&'b mut [f32]],
    /// In the order of [`Rule::mutates`].
    pub mutated: &'a mut [&'b mut [f32]],
    /// The packed input, or nothing where that changes so often that packing it is not worth it.
    pub packed: &'a [f32],
    /// At least as many numbers as the kernel asked for; what they are is anybody's guess.
    pub scratch: &'a mut [f32],
    /// The vectors that the processor has.
    pub arch: Arch,
}

impl CpuKernel {
    /// A kernel without scratch memory.
    pub(crate) fn new(run: impl Fn(&mut Call) + Send + Sync + 'static) -> Self {
        Self::with_scratch(0, run)
    }

    /// A kernel with so many numbers of scratch memory.
    pub(crate) fn with_scratch(scratch: usize, run: impl Fn(&mut Call) + Send + Sync + 'static) -> Self {
        Self { scratch, packing: None, run: Box::new(run) }
    }

    /// The same kernel, which finds an input packed.
    pub(crate) fn packing(self, packing: Packing) -> Self {
        Self { packing: Some(packing), ..self }
    }

    /// The op's plain reference, for what no program runs often. It takes memory as it goes.
    pub(crate) fn reference(
        op: &(impl Rule + Clone + Send + Sync + 'static),
        inputs: &[Shape],
        outputs: &[Shape],
    ) -> Self {
        let (op, input_shapes, output_shapes) = (op.clone(), inputs.to_vec(), outputs.to_vec());
        Self::new(move |call| {
            let mut made: Vec<Vec<f32>> = call.outputs.iter().map(|y| vec![f32::NAN; y.len()]).collect();
            op.reference(&mut ReferenceCall {
                inputs: call.inputs.to_vec(),
                input_shapes: &input_shapes,
                outputs: &mut made,
                output_shapes: &output_shapes,
                mutated: call.mutated.iter_mut().map(|numbers| &mut **numbers).collect(),
            });
            for (y, made) in call.outputs.iter_mut().zip(&made) {
                y.copy_from_slice(made);
            }
        })
    }

    /// Runs it.
    pub(crate) fn run(&self, call: &mut Call) {
        (self.run)(call);
    }
}
