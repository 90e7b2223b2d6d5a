//! The kernels' texts. A line `//#import NAME` stands for `shaders/common/NAME.wgsl`.

use super::dispatch::{Dispatch, Weights};
use super::launch::Launch;
use super::target::{AdapterKind, MAX_BINDINGS, Target};
use crate::engine::conv::ConvVariant;
use crate::engine::program::Program;
use crate::engine::tuning::KernelChoices;

macro_rules! texts {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../shaders", $folder, "/", $name, ".wgsl")))),*]
    };
}

const KERNELS: &[(&str, &str)] = texts!["":
    "activation", "activation_grad", "adam", "add_scaled", "augment", "batch_concat", "batch_norm", "batch_norm_grad",
    "batch_slice", "bce_with_logits", "bce_with_logits_grad", "broadcast", "channel_sum",
    "conv2d_naive", "conv2d_register", "conv2d_tiled",
    "conv2d_weight_grad_naive", "conv2d_weight_grad_register", "conv2d_weight_grad_tiled",
    "conv_transpose2d_naive", "conv_transpose2d_register", "conv_transpose2d_tiled",
    "distance", "distance_grad", "fused_score", "gather", "gather_bytes", "not_finite", "record", "reduce", "scale", "sum_parts",
    "tick", "unit_rms", "unit_rms_grad",
];

const COMMON: &[(&str, &str)] = texts!["/common":
    "activation", "columns", "convolution", "distance_slope", "fused_activation", "fused_convolution", "fused_dense",
    "fused_norm", "fused_place", "kernel_row", "output", "reduce", "single", "slices", "tile", "vec4", "weights_half",
    "weights_half_packed", "weights_single",
];

/// The texts of the convolutions' kernels, which their speed depends on.
pub(crate) fn convolution_texts() -> impl Iterator<Item = &'static str> {
    let kernels = KERNELS.iter().filter(|(name, _)| name.starts_with("conv"));
    // Parts of the fused network are no convolution's.
    let shared = COMMON.iter().filter(|(name, _)| !name.starts_with("fused_"));
    kernels.chain(shared).map(|&(_, text)| text)
}

/// A kernel of a program, as a GPU's driver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelText {
    /// Scope and op; of kernels side by side all, joined by ` + `.
    pub op: String,
    /// File under `shaders/`, without `.wgsl`; of kernels side by side all, joined by `+`.
    pub shader: String,
    /// Its full text in WGSL.
    pub wgsl: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes that it binds: what it reads and writes, each once.
    pub bytes: u64,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
}

impl Program {
    /// The launches that one run is made of, in their order, with convolutions computed so, or as suits the adapter; on one
    /// that is a CPU if `software`, and can compute in half precision if `half_precision`. No device is needed.
    pub(crate) fn kernels(
        &self,
        convolution: Option<ConvVariant>,
        software: bool,
        half_precision: bool,
    ) -> Vec<KernelText> {
        let (adapter, choices) = (AdapterKind::of(software), KernelChoices::default());
        let target = Target { adapter, convolution, choices, half_precision, max_bindings: MAX_BINDINGS };
        self.launches(&target).iter().map(|launch| self.text_of(launch)).collect()
    }

    /// The kernels of its convolutions with every candidate in turn.
    pub(crate) fn candidates(&self, software: bool) -> Vec<KernelText> {
        let mut texts = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let Some(shape) = step.convolution() else { continue };
            for kernel in shape.candidates(software) {
                let adapter = AdapterKind::of(software);
                let choices = KernelChoices::from_iter([(shape, kernel)]);
                // Each kernel alone.
                let target = Target { adapter, convolution: None, choices, half_precision: false, max_bindings: 0 };
                let launches = self.launches_of(&[index], &target);
                texts.extend(launches.iter().map(|launch| self.text_of(launch)));
            }
        }
        texts
    }

    fn text_of(&self, launch: &Launch) -> KernelText {
        KernelText {
            op: launch.label(self),
            shader: launch.shader(),
            wgsl: launch.wgsl(),
            macs: launch.macs(self),
            bytes: launch.bytes(),
            workgroups: launch.workgroups(),
        }
    }
}

/// The text of a kernel: constants, imports, then its own.
pub(super) fn own_text(dispatch: &Dispatch) -> String {
    let own = text(KERNELS, dispatch.shader);
    let chosen = dispatch.element.into_iter().chain(dispatch.weights.map(Weights::text));
    let imports = chosen.chain(imports(own)).map(|name| text(COMMON, name));
    let extension = dispatch.weights.and_then(Weights::extension);
    let extension = extension.map(|name| format!("enable {name};")).unwrap_or_default();
    let parts: Vec<String> =
        dispatch.parts.iter().map(|&(name, number)| instance(text(COMMON, name), number)).collect();
    let texts = [extension.as_str(), &dispatch.prelude].into_iter().chain(imports).chain([own]);
    let texts = texts.chain(parts.iter().map(String::as_str)).chain([dispatch.text.as_str()]);
    texts.collect::<Vec<_>>().join("\n")
}

/// What a kernel's own text imports.
fn imports(own: &'static str) -> impl Iterator<Item = &'static str> {
    own.lines().filter_map(|line| line.strip_prefix("//#import ")).map(str::trim)
}

/// A part's text with its constants and functions under a number.
fn instance(text: &str, number: usize) -> String {
    text.replace("P_", &format!("P{number}_")).replace("NUMBER", &number.to_string())
}

fn text(texts: &[(&str, &'static str)], name: &str) -> &'static str {
    // An unknown name gives an empty module, which the driver refuses by name.
    texts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}
