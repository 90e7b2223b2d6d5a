//! What the kernel tests share: one device for each kind of convolution, and the check of an op.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

use pkdgan::engine::{Cpu, EngineError, Executor, Gpu, GpuOptions, Graph, Measure, Shape, Tensor};
use pkdgan::unstable::engine::{ConvVariant, GpuOptionsInternals, Reference};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The device, opened once; a machine without one fails the test with the command that installs one.
pub(crate) fn gpu(convolution: ConvVariant) -> MutexGuard<'static, Gpu> {
    static DEVICES: OnceLock<HashMap<ConvVariant, Mutex<Gpu>>> = OnceLock::new();
    let devices = DEVICES.get_or_init(|| {
        VARIANTS
            .into_iter()
            .map(|variant| {
                let options = GpuOptions::default().adapter(adapter()).convolution(Some(variant));
                (variant, Mutex::new(opened(&options)))
            })
            .collect()
    });
    devices[&convolution].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A device of one's own.
pub(crate) fn open() -> Gpu {
    let options = GpuOptions::default().adapter(adapter());
    opened(&options)
}

/// What a machine without an adapter lacks for tests.
pub(crate) const NO_ADAPTER: &str = if cfg!(feature = "gl") {
    "install a software driver: apt-get install -y libegl1 libgles2 libgl1-mesa-dri"
} else {
    "install a software driver: apt-get install -y mesa-vulkan-drivers libvulkan1"
};

/// A device with these options.
pub(crate) fn opened(options: &GpuOptions) -> Gpu {
    Gpu::open(options).unwrap_or_else(|error| panic!("{error}\n{NO_ADAPTER}"))
}

/// Every way to compute a convolution.
pub(crate) const VARIANTS: [ConvVariant; 3] = [ConvVariant::Naive, ConvVariant::Register, ConvVariant::Tiled];

/// The adapter to test on: `PKDGAN_TEST_ADAPTER`, or the best one.
pub(crate) fn adapter() -> Option<String> {
    std::env::var("PKDGAN_TEST_ADAPTER").ok()
}

/// So many numbers, uniform in -1..1.
pub(crate) fn random(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Rounded to single precision, so that all executors start from the same numbers.
    (0..len).map(|_| f64::from(rng.random_range(-1.0f32..1.0))).collect()
}

/// Checks an op that `build` makes of inputs of the given shapes: its result and its gradients on
/// the GPU, and through the single precision CPU executor, against double precision; and the double
/// precision gradients against central differences.
///
/// The gradients are those of the sum of squares, of the distances between result and random
/// numbers.
/// `tolerance` is relative to the largest value of each tensor.
pub(crate) fn check(
    gpu: &mut Gpu,
    seed: u64,
    shapes: &[Shape],
    tolerance: f64,
    build: impl Fn(&mut Graph, &[Tensor]) -> Result<Tensor, EngineError>,
) {
    let mut graph = Graph::new();
    let names: Vec<String> = (0..shapes.len()).map(|i| format!("input {i}")).collect();
    let inputs: Vec<Tensor> = names.iter().zip(shapes).map(|(name, &shape)| graph.input(name, shape)).collect();
    let y = build(&mut graph, &inputs).unwrap();
    let shape = graph.shape(y);
    let target: Vec<f32> = random(seed ^ 1, shape.iter().product()).iter().map(|&v| v as f32).collect();
    let target = graph.constant(shape, &target).unwrap();
    let distances = graph.distance(y, target, Measure::MeanSquared).unwrap();
    // Scaled to the sum of squares, so that gradients have the size of the numbers.
    let mean = graph.mean(distances).unwrap();
    let loss = graph.scale(mean, shape.iter().product::<usize>() as f32).unwrap();
    let gradients = graph.gradients(loss, &inputs).unwrap();
    graph.output("result", y);
    graph.output("loss", loss);
    for (name, &gradient) in names.iter().zip(&gradients) {
        graph.output(format!("gradient by {name}"), gradient);
    }

    let values: Vec<Vec<f64>> =
        shapes.iter().zip(2..).map(|(shape, i)| random(seed ^ i, shape.iter().product())).collect();
    let singles: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|&v| v as f32).collect()).collect();
    let single: Vec<(&str, &[f32])> =
        names.iter().zip(&singles).map(|(name, v)| (name.as_str(), v.as_slice())).collect();
    let evaluate = |values: &[Vec<f64>]| {
        let inputs: Vec<(&str, &[f64])> =
            names.iter().zip(values).map(|(name, v)| (name.as_str(), v.as_slice())).collect();
        Reference::exact().evaluate_exactly(&graph, &inputs).unwrap()
    };
    let exact = evaluate(&values);
    for (executor, results) in
        [("gpu", gpu.evaluate(&graph, &single).unwrap()), ("cpu", Cpu::new().evaluate(&graph, &single).unwrap())]
    {
        for (name, expected) in &exact {
            let got: Vec<f64> = results[name].iter().map(|&v| v.into()).collect();
            assert_close(&format!("{executor}, {name}, inputs {shapes:?}"), &got, expected, tolerance);
        }
    }

    const STEP: f64 = 1e-6;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (input, name) in names.iter().enumerate() {
        let gradient = &exact[&format!("gradient by {name}")];
        let largest = gradient.iter().fold(FLOOR, |most, v| most.max(v.abs()));
        for _ in 0..6 {
            let at = rng.random_range(0..values[input].len());
            let mut moved = values.clone();
            moved[input][at] += STEP;
            let above = evaluate(&moved)["loss"][0];
            moved[input][at] -= 2.0 * STEP;
            let below = evaluate(&moved)["loss"][0];
            let slope = (above - below) / (2.0 * STEP);
            let error = (slope - gradient[at]).abs() / largest;
            assert!(error < 1e-4, "gradient by {name} at {at}: {} but slope {slope}, inputs {shapes:?}", gradient[at]);
        }
    }
}

/// Values below this count as this where errors are taken relative to them.
const FLOOR: f64 = 0.1;

/// Every element within `tolerance` of the largest expected value; NaN never passes.
pub(crate) fn assert_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let largest = expected.iter().fold(FLOOR, |most, v| most.max(v.abs()));
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let error = (g - e).abs() / largest;
        assert!(error <= tolerance, "{what}: element {i} is {g}, expected {e} (relative error {error:.2e})");
    }
}
