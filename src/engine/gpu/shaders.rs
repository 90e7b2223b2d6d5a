//! The kernels' texts. A line `//#import NAME` stands for `shaders/common/NAME.wgsl`, or for `NAME_subgroup.wgsl` there, if there
//! is such and a workgroup's lanes are one subgroup. Loops marked `//#unroll` are written out for some drivers (`unroll.rs`).

use crate::engine::choices::KernelChoices;
use crate::engine::ops::kernel::{ConvVariant, Dispatch, Tuning, Weights};
use crate::engine::program::{Program, Step};

use super::textures;
use super::uniforms;
use super::unroll::unrolled;

macro_rules! texts {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../shaders", $folder, "/", $name, ".wgsl")))),*]
    };
}

const KERNELS: &[(&str, &str)] = texts!["":
    "activation", "activation_grad", "adam", "add_scaled", "batch_concat", "batch_norm", "batch_norm_grad",
    "batch_slice", "bce_with_logits", "bce_with_logits_grad", "broadcast", "channel_sum",
    "conv2d_naive", "conv2d_register", "conv2d_tiled",
    "conv2d_weight_grad_naive", "conv2d_weight_grad_plane_register", "conv2d_weight_grad_register", "conv2d_weight_grad_tiled",
    "conv_transpose2d_naive", "conv_transpose2d_plane_register", "conv_transpose2d_register", "conv_transpose2d_tiled",
    "distance", "distance_grad", "fused_score", "fused_score_register", "gather", "not_finite", "record", "reduce", "reread", "scale", "sum_parts", "tick",
    "unit_rms", "unit_rms_grad",
];

const COMMON: &[(&str, &str)] = texts!["/common":
    "activation", "adam_buffers", "adam_copies", "columns", "convolution", "distance_slope", "exchange", "exchange_subgroup", "fused_activation", "fused_convolution", "fused_dense", "fused_norm",
    "fused_place", "fused_register", "plane", "quad", "reduce", "reduce_alone", "reduce_subgroup", "single",
    "weights_half", "weights_half_packed", "weights_half_texture", "weights_single",
];

/// What the speed of convolutions depends on: their kernels' texts, and how they are launched.
pub(super) fn convolution_texts() -> impl Iterator<Item = &'static str> {
    let kernels = KERNELS.iter().filter(|(name, _)| name.starts_with("conv"));
    // Pieces of the fused network are no convolution's.
    let shared = COMMON.iter().filter(|(name, _)| !name.starts_with("fused_"));
    kernels.chain(shared).map(|&(_, text)| text).chain([
        include_str!("../ops/conv_dispatch.rs"),
        include_str!("../ops/conv_plane.rs"),
        include_str!("declarations.rs"),
        include_str!("textures.rs"),
        include_str!("uniforms.rs"),
        include_str!("unroll.rs"),
    ])
}

/// Texels of a texture that every adapter has.
const TEXELS: usize = 8192;
/// Quads of a uniform buffer that every adapter has.
const UNIFORM_QUADS: usize = 1024;

/// A kernel of a program, as a GPU's driver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelText {
    /// Scope and op.
    pub op: String,
    /// File under `shaders/`, without `.wgsl`.
    pub shader: &'static str,
    /// Its full text in WGSL.
    pub wgsl: String,
}

impl Program {
    /// The kernels that one run is made of, in their order, with convolutions computed so; on an adapter that is a CPU
    /// if `software`, whose driver unrolls no loops and is slow at loads, with subgroups as large as a CPU's vectors if `subgroups`, and can
    /// compute in half precision if `half_precision`. No device is needed.
    pub fn kernels(
        &self,
        convolution: ConvVariant,
        software: bool,
        subgroups: bool,
        half_precision: bool,
    ) -> Vec<KernelText> {
        let tuning = Tuning { convolution: Some(convolution), half_precision, ..any_adapter(software, subgroups) };
        let dispatches = self.dispatches(&tuning);
        dispatches.iter().map(|(step, dispatch)| text_of(&self.steps[*step], dispatch, &tuning)).collect()
    }

    /// The kernels of its convolutions with every candidate in turn.
    pub fn candidates(&self, software: bool, subgroups: bool) -> Vec<KernelText> {
        let mut texts = Vec::new();
        let written = self.written();
        for step in &self.steps {
            let Some(shape) = step.convolution() else { continue };
            for kernel in shape.candidates(software) {
                let choices = KernelChoices::from_iter([(shape, kernel)]);
                let tuning = Tuning { choices, ..any_adapter(software, subgroups) };
                texts
                    .extend(step.dispatches(&tuning, &written).iter().map(|dispatch| text_of(step, dispatch, &tuning)));
            }
        }
        texts
    }
}

/// What every adapter of a kind can do.
fn any_adapter(software: bool, subgroups: bool) -> Tuning {
    Tuning {
        software,
        subgroups,
        convolution: None,
        choices: KernelChoices::default(),
        half_precision: false,
        texels: TEXELS,
        uniform_quads: if software { UNIFORM_QUADS } else { 0 },
        unroll: software,
        refill: software,
    }
}

fn text_of(step: &Step, dispatch: &Dispatch, tuning: &Tuning) -> KernelText {
    KernelText { op: step.label.clone(), shader: dispatch.shader, wgsl: source(dispatch, tuning) }
}

/// The full text of a kernel: constants, imports, then its own.
pub(super) fn source(dispatch: &Dispatch, tuning: &Tuning) -> String {
    let own = text(KERNELS, dispatch.shader);
    let chosen =
        dispatch.element.into_iter().chain(dispatch.imports.iter().copied()).chain(dispatch.weights.map(Weights::text));
    let imports = chosen.chain(imports(own)).map(|name| imported(name, tuning.subgroups));
    let extension = dispatch.weights.and_then(Weights::extension);
    let extension = extension.map(|name| format!("enable {name};")).unwrap_or_default();
    let parts: Vec<String> =
        dispatch.parts.iter().map(|&(name, number)| instance(text(COMMON, name), number)).collect();
    let texts = [extension.as_str(), &dispatch.prelude].into_iter().chain(imports).chain([own]);
    let texts = texts.chain(parts.iter().map(String::as_str)).chain([dispatch.text.as_str()]);
    let text = uniforms::declared(texts.collect::<Vec<_>>().join("\n"), dispatch);
    let text = textures::declared(text, dispatch, tuning);
    unrolled(&text, !tuning.unroll)
}

/// What a kernel's own text imports.
fn imports(own: &'static str) -> impl Iterator<Item = &'static str> {
    own.lines().filter_map(|line| line.strip_prefix("//#import ")).map(str::trim)
}

/// A kernel's own text, that of its weights, and those that it imports by name.
pub(super) fn own_texts(dispatch: &Dispatch) -> impl Iterator<Item = &'static str> {
    let own = text(KERNELS, dispatch.shader);
    imports(own).chain(dispatch.weights.map(Weights::text)).map(|name| text(COMMON, name)).chain([own])
}

/// A piece's text with its constants and functions under a number.
fn instance(text: &str, number: usize) -> String {
    text.replace("P_", &format!("P{number}_")).replace("NUMBER", &number.to_string())
}

/// The piece that an import stands for.
fn imported(name: &str, subgroups: bool) -> &'static str {
    let special = COMMON.iter().find(|(known, _)| known.strip_suffix("_subgroup") == Some(name));
    special.filter(|_| subgroups).map_or_else(|| text(COMMON, name), |(_, text)| text)
}

fn text(texts: &[(&str, &'static str)], name: &str) -> &'static str {
    // An unknown name gives an empty module, which the driver refuses by name.
    texts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}
