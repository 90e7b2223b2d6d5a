//! The roofline: the share of a GPU's peak that each convolution of the MNIST teacher should reach, by data sheet alone.
//!
//! A kernel takes as long as the slowest of three: its sums of products on the invocations that it has, with what a tile
//! computes in vain; the workgroup memory or the cache that these read; and its bytes, each once, from main memory.

use std::collections::HashSet;
use std::fmt::Write;

use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::unstable::engine::{KernelText, ProgramInternals};

use crate::programs::training;

/// A GPU by its data sheet.
struct Gpu {
    name: &'static str,
    /// Single precision, 10^12 operations a second; a multiply-accumulate is two.
    tflops: f64,
    /// Main memory, 10^9 bytes a second.
    gbytes: f64,
    /// Lanes that multiply and accumulate at once.
    lanes: f64,
}

/// NVIDIA's data sheets of H100 SXM and GeForce RTX 4070; AMD's of the Ryzen 7 7840U, with two DDR5-5600 modules. AMD counts
/// two instructions a clock for each of 768 shaders.
const GPUS: [Gpu; 3] = [
    Gpu { name: "H100 SXM", tflops: 66.9, gbytes: 3350.0, lanes: 16896.0 },
    Gpu { name: "RTX 4070", tflops: 29.1, gbytes: 504.0, lanes: 5888.0 },
    Gpu { name: "Radeon 780M", tflops: 8.3, gbytes: 89.6, lanes: 1536.0 },
];

/// Lanes for which workgroup memory, or the cache, moves 128 bytes a clock: those of a multiprocessor, or of a compute unit with two
/// instructions a clock.
const LANES_OF_MEMORY: f64 = 128.0;

/// Bytes that an invocation of a tiled kernel reads of workgroup memory for a multiply-accumulate: four rows and four columns for
/// 16 of them.
const TILE_BYTES: f64 = 32.0 / 16.0;

impl Gpu {
    /// Seconds of a kernel.
    fn seconds(&self, kernel: &Kernel) -> f64 {
        let lanes = self.lanes.min(kernel.invocations);
        // Of a lane's time, the part that what it reads leaves.
        let fed = (128.0 / LANES_OF_MEMORY / kernel.read).min(1.0);
        let rate = 1e12 * self.tflops * lanes / self.lanes * fed;
        (2.0 * kernel.computed / rate).max(kernel.bytes / (1e9 * self.gbytes))
    }
}

/// A convolution's kernel.
struct Kernel {
    op: String,
    macs: f64,
    /// Multiply-accumulates with those that fall outside the result.
    computed: f64,
    bytes: f64,
    invocations: f64,
    /// Bytes that an invocation reads of workgroup memory or the cache, for a multiply-accumulate.
    read: f64,
}

impl Kernel {
    /// By the constants of its text.
    fn of(text: &KernelText) -> Option<Self> {
        let constant = |name: &str| -> Option<f64> {
            let start = format!("const {name}: u32 = ");
            text.wgsl.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix("u;")?.parse().ok())
        };
        let product = |names: [&str; 3]| names.into_iter().map(constant).product::<Option<f64>>();
        let transposed = text.shader.starts_with("conv_transpose2d");
        let terms = match text.shader.as_str() {
            _ if transposed => {
                constant("CI")?
                    * (constant("KH")? / constant("SY")?).ceil()
                    * (constant("KW")? / constant("SX")?).ceil()
            }
            "conv2d_weight_grad_tiled" => product(["N", "OH", "OW"])? / constant("SPLITS")?,
            _ => product(["CI", "KH", "KW"])?,
        };
        let workgroups = text.workgroups.iter().map(|&n| f64::from(n)).product::<f64>();
        let (lanes, sums, slices, read) = if text.shader.ends_with("_register") {
            let [sx, tx, tc, kw] = ["SX", "TX", "TC", "KW"].map(constant);
            let (sx, tx, tc, kw) = (sx?, tx?, tc?, kw?);
            // For a row of the kernel: inputs by fours, and vectors of weights, which the lanes of a slice load as one.
            let columns = if transposed { ((kw - 1.0) / sx).floor() + tx + 1.0 } else { (tx - 1.0) * sx + kw };
            let loads = 4.0 * (columns / 4.0).ceil() + tc * (kw / 4.0).ceil() * (4.0 / constant("LANES")?).max(1.0);
            let owned = if transposed { sx * tx * tc } else { tx * tc };
            let (lanes, slices) = (constant("LANES")?, constant("SLICES")?);
            (lanes * slices, owned, slices, 4.0 * loads / (tc * tx * kw))
        } else {
            (product(["WX", "WY", "WZ"])?, 16.0, constant("WZ")?, TILE_BYTES)
        };
        let invocations = workgroups * lanes;
        Some(Self {
            op: text.op.replace("teacher.", "").replace("conv_transpose2d", "transposed").replace("conv2d_", ""),
            macs: text.macs as f64,
            computed: invocations * sums * terms / slices,
            bytes: text.bytes as f64,
            invocations,
            read,
        })
    }
}

/// The tables, in Markdown.
pub(crate) fn page() -> String {
    let mut page = String::new();
    for batch in [1, 8, 64] {
        let program = training(Dataset::Mnist, batch, Statistics::Running).swap_remove(0);
        // The candidate that is taken unless another was measured to be faster comes first.
        let (mut ops, mut shapes) = (HashSet::new(), HashSet::new());
        let texts = program.candidates(false).into_iter().filter(|text| ops.insert(text.op.clone()));
        // The encoders' layers are alike.
        let texts = texts.filter(|text| shapes.insert((text.shader.clone(), text.macs, text.bytes, text.workgroups)));
        // Writing to a string cannot fail.
        let _ = writeln!(page, "\nBatch {batch}:\n");
        let _ = write!(page, "| convolution | MMAC | in the tiles | KB | flop/byte | invocations |");
        GPUS.iter().for_each(|gpu| {
            let _ = write!(page, " {} |", gpu.name);
        });
        let _ = writeln!(page, "\n|{}", "---|".repeat(6 + GPUS.len()));
        for kernel in texts.filter_map(|text| Kernel::of(&text)) {
            let Kernel { op, macs, computed, bytes, invocations, .. } = &kernel;
            let _ = write!(
                page,
                "| {op} | {:.2} | {:.0} % | {:.0} | {:.1} | {invocations} |",
                macs / 1e6,
                100.0 * macs / computed,
                bytes / 1e3,
                2.0 * macs / bytes
            );
            for gpu in &GPUS {
                let seconds = gpu.seconds(&kernel);
                let _ = write!(page, " {:.1} %, {:.1} us |", 2e-10 * macs / seconds / gpu.tflops, 1e6 * seconds);
            }
            let _ = writeln!(page);
        }
    }
    page
}
