//! One launch of a kernel, as plain data: shader, constants, bindings, workgroups. It knows no device.

use std::fmt::Write;

use super::target::Target;

/// A buffer bound to a kernel, in the order of its bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// Read.
    Input(usize),
    /// Written.
    Output(usize),
    /// Read and written, in the order of [`crate::engine::ops::Rule::mutates`].
    Mutated(usize),
    /// Written: so many `f32` for a later dispatch of the same op.
    Scratch(usize),
    /// Read: what an earlier dispatch of the same op left.
    Parts(usize),
    /// Read only in a part of the kernel that the constants switch off.
    Unused,
    /// Written only in such a part.
    UnusedOutput,
}

/// How a kernel reads its weights, by fours: `weight(index)`, from binding 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Weights {
    Single,
    /// A word is two numbers in half precision.
    Half,
    /// The same, on adapters without arithmetic in half precision.
    HalfPacked,
}

impl Weights {
    /// The file under `shaders/common/`, without `.wgsl`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Single => "weights_single",
            Self::Half => "weights_half",
            Self::HalfPacked => "weights_half_packed",
        }
    }

    /// The language extension that they take, if any.
    pub(crate) fn extension(self) -> Option<&'static str> {
        (self == Self::Half).then_some("f16")
    }
}

/// A constant of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Constant {
    U32(u32),
    F32(f32),
    Bool(bool),
}

impl From<usize> for Constant {
    fn from(value: usize) -> Self {
        // Shapes are checked against the adapter's 32-bit limits before kernels are made.
        Self::U32(value as u32)
    }
}

impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Constant {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// One kernel launch.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    /// File name under `shaders/`, without `.wgsl`.
    pub shader: &'static str,
    /// WGSL constant declarations that go before the shader's text.
    pub prelude: String,
    /// Which of `shaders/common/` stands for tensor elements in the shader, if any.
    pub element: Option<&'static str>,
    /// How the shader reads weights, if it has any.
    pub weights: Option<Weights>,
    /// Parts of `shaders/common/` that the shader has several of, each with its number. In their text `P_` stands for
    /// the number's constants, and `NUMBER` for the number.
    pub parts: Vec<(&'static str, usize)>,
    /// Text that goes after the parts.
    pub text: String,
    pub bindings: Vec<Slot>,
    pub workgroups: [u32; 3],
    /// Whether wgpu adds a counter to every loop, which ends it after 2^32 rounds. [`Self::new`] says no: the counter
    /// keeps drivers from unrolling, and it is not needed, because every loop of our kernels counts to a limit that is
    /// fixed before it starts. `tests/shaders.rs` checks that of all of them.
    pub loops_bounded: bool,
}

impl Dispatch {
    /// A launch of a single workgroup; see [`Self::workgroups`] and [`Self::over`] for more.
    pub(crate) fn new(shader: &'static str, bindings: &[Slot]) -> Self {
        Self {
            shader,
            prelude: String::new(),
            element: None,
            weights: None,
            parts: Vec::new(),
            text: String::new(),
            bindings: bindings.into(),
            workgroups: [1; 3],
            loops_bounded: false,
        }
    }

    /// Whether its text is one file with what that imports: such kernels can run side by side.
    pub(super) fn is_self_contained(&self) -> bool {
        self.weights.is_none() && self.parts.is_empty() && self.text.is_empty()
    }

    /// Declares a constant.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Constant>) -> Self {
        // Writing to a string cannot fail.
        let _ = match value.into() {
            Constant::U32(v) => writeln!(self.prelude, "const {name}: u32 = {v}u;"),
            Constant::F32(v) => writeln!(self.prelude, "const {name}: f32 = {v:?}f;"),
            Constant::Bool(v) => writeln!(self.prelude, "const {name}: bool = {v};"),
        };
        self
    }

    /// Lets `shaders/common/NAME.wgsl` stand for tensor elements in the shader.
    pub(crate) fn element(self, name: &'static str) -> Self {
        Self { element: Some(name), ..self }
    }

    /// Lets the shader read weights so.
    pub(crate) fn weights(self, weights: Weights) -> Self {
        Self { weights: Some(weights), ..self }
    }

    /// Adds `shaders/common/NAME.wgsl` under a number, whose constants are called `P{number}_...`.
    pub(crate) fn part(mut self, name: &'static str, number: usize) -> Self {
        self.parts.push((name, number));
        self
    }

    /// Sets the text that goes after the parts.
    pub(crate) fn text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Lets `vec4` stand for tensor elements, if all of some lengths divide into fours, or `single`; calls `declare`
    /// with how many numbers an element then has.
    pub(crate) fn elements(self, lens: &[usize], declare: impl FnOnce(Self, usize) -> Self) -> Self {
        let vec4s = lens.iter().all(|len| len.is_multiple_of(4));
        let (name, numbers) = if vec4s { ("vec4", 4) } else { ("single", 1) };
        declare(self.element(name), numbers)
    }

    /// Declares `PLANE`, `C`, `BLOCK` and `WIDTH` for a shader whose workgroups go through the planes, of so many
    /// numbers each and by fours where they can, of a block of channels of so many images, and launches `rows` times as
    /// many as that takes.
    pub(crate) fn channels(self, [images, channels, plane]: [usize; 3], rows: usize, target: &Target) -> Self {
        self.elements(&[plane], |dispatch, each| {
            let block = channels.div_ceil((target.adapter.max_workgroups)(images * channels * plane / each));
            let dispatch = dispatch.with("PLANE", plane / each).with("C", channels).with("BLOCK", block);
            let width = target.adapter.width_to_reduce(images * plane / each);
            dispatch.with("WIDTH", width).workgroups(channels.div_ceil(block), rows, 1)
        })
    }

    /// Sets the number of workgroups.
    pub(crate) fn workgroups(mut self, x: usize, y: usize, z: usize) -> Self {
        self.workgroups = [x as u32, y as u32, z as u32];
        self
    }

    /// Declares `WIDTH`, `LEN` and `BLOCK` for a kernel whose workgroups each step through a block of
    /// `len` elements, and launches as many as that takes, up to a limit.
    pub(crate) fn over(self, len: usize, target: &Target) -> Self {
        let width = target.adapter.width as usize;
        // Each may take several rounds, over neighbouring elements.
        let rounds = len.div_ceil(width * (target.adapter.max_workgroups)(len)).max(1);
        let block = rounds * width;
        self.with("WIDTH", width).with("LEN", len).with("BLOCK", block).workgroups(len.div_ceil(block), 1, 1)
    }

    /// As [`Self::over`], of `vec4`s that hold `len` numbers. Buffers are padded to whole `vec4`s.
    pub(crate) fn over_vec4s(self, len: usize, target: &Target) -> Self {
        self.element("vec4").over(len.div_ceil(4), target)
    }
}
