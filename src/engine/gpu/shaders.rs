//! The kernels' texts. A line `//#import NAME` stands for `shaders/common/NAME.wgsl`.

use crate::engine::ops::kernel::Dispatch;

macro_rules! texts {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../shaders", $folder, "/", $name, ".wgsl")))),*]
    };
}

const KERNELS: &[(&str, &str)] = texts!["":
    "activation", "activation_grad", "adam", "add_scaled", "batch_concat", "batch_norm", "batch_norm_grad",
    "batch_slice", "bce_with_logits", "bce_with_logits_grad", "broadcast", "channel_sum",
    "conv2d_naive", "conv2d_register", "conv2d_tiled",
    "conv2d_weight_grad_naive", "conv2d_weight_grad_register", "conv2d_weight_grad_tiled",
    "conv_transpose2d_naive", "conv_transpose2d_register", "conv_transpose2d_tiled",
    "distance", "distance_grad", "gather", "not_finite", "record", "reduce", "scale", "sum_parts", "tick",
    "unit_rms", "unit_rms_grad",
];

const COMMON: &[(&str, &str)] = texts!["/common": "activation", "columns", "convolution", "quad", "reduce", "single"];

/// The full text of a kernel: constants, imports, then its own.
pub(super) fn source(dispatch: &Dispatch) -> String {
    let own = text(KERNELS, dispatch.shader);
    let imports = own.lines().filter_map(|line| line.strip_prefix("//#import ")).map(str::trim);
    let imports = dispatch.element.into_iter().chain(imports).map(|name| text(COMMON, name));
    [dispatch.prelude.as_str()].into_iter().chain(imports).chain([own]).collect::<Vec<_>>().join("\n")
}

fn text(texts: &[(&str, &'static str)], name: &str) -> &'static str {
    // An unknown name gives an empty module, which the driver refuses by name.
    texts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}
