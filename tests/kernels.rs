//! Every op and every kernel variant against double precision, on random shapes.

mod common;

use common::{VARIANTS, adapter, assert_close, check, gpu, opened, random};
use pkdgan::engine::{
    Activation, Cpu, EngineError, Executor, GpuOptions, Graph, Measure, Program, Readback, Shape, Statistics, Tensor,
    Variables, Window,
};
use pkdgan::unstable::engine::{ConvShape, ConvVariant, GpuOptionsInternals, ProgramInternals, Reference};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Runs `test` on so many random cases, the same in every run.
fn cases<S: Strategy>(count: u32, strategy: S, test: impl Fn(S::Value)) {
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new_with_rng(config, rng).run(&strategy, |case| {
        test(case);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.2), Activation::Tanh, Activation::Sigmoid];

fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(&ACTIVATIONS[..])
}

/// Batch sizes at and past what a kernel handles at once.
fn batch() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1usize, 2, 5, 9])
}

fn channels() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1usize, 3, 8, 16, 17, 33])
}

#[derive(Clone, Debug)]
struct Case {
    n: usize,
    channels: [usize; 2],
    /// Sides of the smaller image: the convolution's result, the transpose's input.
    side: [usize; 2],
    kernel: [usize; 2],
    window: Window,
    /// Pixels of the larger image that the last position does not reach; below the stride.
    extra: [usize; 2],
    bias: bool,
    /// Whether a tensor is added to the result, on which side.
    added: Option<bool>,
    activation: Activation,
    seed: u64,
}

fn convolution() -> impl Strategy<Value = Case> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    (
        (batch(), channels(), channels()),
        (pair(1..=9), pair(1..=5), pair(1..=3), pair(0..=2), pair(0..=2)),
        (any::<bool>(), any::<Option<bool>>(), activation(), any::<u64>()),
    )
        .prop_map(|((n, a, b), (side, kernel, stride, padding, extra), (bias, added, activation, seed))| Case {
            n,
            channels: [a, b],
            side,
            kernel,
            window: Window { stride, padding },
            extra: [extra[0] % stride[0], extra[1] % stride[1]],
            bias,
            added,
            activation,
            seed,
        })
        .prop_filter("the larger image must have pixels", |case| (0..2).all(|axis| case.wide(axis) > 0))
}

impl Case {
    fn wide(&self, axis: usize) -> usize {
        ((self.side[axis] - 1) * self.window.stride[axis] + self.kernel[axis] + self.extra[axis])
            .saturating_sub(2 * self.window.padding[axis])
    }

    /// What follows the convolution: a sum with the last input, if any, and the activation.
    fn finish(&self, graph: &mut Graph, y: Tensor, inputs: &[Tensor]) -> Result<Tensor, EngineError> {
        let last = inputs[inputs.len() - 1];
        let y = match self.added {
            Some(true) => graph.add(y, last)?,
            Some(false) => graph.add(last, y)?,
            None => y,
        };
        graph.activation(y, self.activation)
    }
}

fn check_conv2d(variant: ConvVariant, case: &Case) {
    let [ci, co] = case.channels;
    let mut shapes = vec![[case.n, ci, case.wide(0), case.wide(1)], [co, ci, case.kernel[0], case.kernel[1]]];
    shapes.extend(case.bias.then_some([1, co, 1, 1]));
    shapes.extend(case.added.map(|_| [case.n, co, case.side[0], case.side[1]]));
    check(&mut gpu(variant), case.seed, &shapes, 2e-5, |graph, inputs| {
        let bias = case.bias.then(|| inputs[2]);
        let y = graph.conv2d(inputs[0], inputs[1], bias, case.window)?;
        case.finish(graph, y, inputs)
    });
}

fn check_conv_transpose2d(variant: ConvVariant, case: &Case) {
    let [ci, co] = case.channels;
    let mut shapes = vec![[case.n, ci, case.side[0], case.side[1]], [ci, co, case.kernel[0], case.kernel[1]]];
    shapes.extend(case.bias.then_some([1, co, 1, 1]));
    shapes.extend(case.added.map(|_| [case.n, co, case.wide(0), case.wide(1)]));
    check(&mut gpu(variant), case.seed, &shapes, 2e-5, |graph, inputs| {
        let bias = case.bias.then(|| inputs[2]);
        let y = graph.conv_transpose2d(inputs[0], inputs[1], bias, case.window, case.extra)?;
        case.finish(graph, y, inputs)
    });
}

#[test]
fn conv2d_naive() {
    cases(40, convolution(), |case| check_conv2d(ConvVariant::Naive, &case));
}

#[test]
fn conv2d_register() {
    cases(40, convolution(), |case| check_conv2d(ConvVariant::Register, &case));
}

#[test]
fn conv2d_tiled() {
    cases(40, convolution(), |case| check_conv2d(ConvVariant::Tiled, &case));
}

#[test]
fn conv_transpose2d_naive() {
    cases(40, convolution(), |case| check_conv_transpose2d(ConvVariant::Naive, &case));
}

#[test]
fn conv_transpose2d_register() {
    cases(40, convolution(), |case| check_conv_transpose2d(ConvVariant::Register, &case));
}

#[test]
fn conv_transpose2d_tiled() {
    cases(40, convolution(), |case| check_conv_transpose2d(ConvVariant::Tiled, &case));
}

/// The shapes that the networks are made of: whole-image kernels, single pixels, stride two. The last has rows that a vector
/// of 16 numbers does not divide.
#[test]
fn convolutions_of_the_networks() {
    let networks = [(4, [2, 2], 1, 1, 0), (20, [1, 1], 4, 1, 0), (18, [4, 4], 4, 2, 1), (1, [16, 16], 4, 2, 1)];
    let shapes = networks.into_iter().chain([(3, [3, 24], 3, 1, 1)]);
    for (seed, (ci, side, kernel, stride, padding)) in shapes.enumerate() {
        for variant in VARIANTS {
            for n in [1, 8, 16] {
                let case = Case {
                    n,
                    channels: [ci, 24],
                    side,
                    kernel: [kernel; 2],
                    window: Window::stride(stride).padding(padding),
                    extra: [0; 2],
                    bias: true,
                    added: None,
                    activation: Activation::LeakyRelu(0.2),
                    seed: seed as u64,
                };
                check_conv2d(variant, &case);
                check_conv_transpose2d(variant, &case);
            }
        }
    }
}

/// Every kernel that may be chosen for a convolution and its gradients, by this adapter or by GPUs, against double precision.
/// Returns how many there were.
fn check_candidates(case: &Case, transposed: bool, gpu_kernels: bool) -> usize {
    let [ci, co] = case.channels;
    let (image, weight) = if transposed {
        ([case.n, ci, case.side[0], case.side[1]], [ci, co, case.kernel[0], case.kernel[1]])
    } else {
        ([case.n, ci, case.wide(0), case.wide(1)], [co, ci, case.kernel[0], case.kernel[1]])
    };
    let mut graph = Graph::new();
    let (x, w) = (graph.input("x", image), graph.input("w", weight));
    let b = graph.input("b", [1, co, 1, 1]);
    let result = if transposed { [case.wide(0), case.wide(1)] } else { case.side };
    let a = graph.input("a", [case.n, co, result[0], result[1]]);
    let y = if transposed {
        graph.conv_transpose2d(x, w, Some(b), case.window, case.extra)
    } else {
        graph.conv2d(x, w, Some(b), case.window)
    };
    let y = case.finish(&mut graph, y.unwrap(), &[a]).unwrap();
    let loss = graph.sum(y).unwrap();
    let gradients = graph.gradients(loss, &[x, w]).unwrap();
    for (name, tensor) in ["y", "dx", "dw"].into_iter().zip([y, gradients[0], gradients[1]]) {
        graph.output(name, tensor);
    }
    let inputs = [("x", image), ("w", weight), ("b", [1, co, 1, 1]), ("a", graph.shape(a))];
    let values = inputs.map(|(name, shape)| (name, random(case.seed, shape.iter().product())));
    let singles = values.clone().map(|(name, values)| (name, values.iter().map(|&v| v as f32).collect::<Vec<_>>()));
    let exact =
        Reference::exact().evaluate_exactly(&graph, &values.each_ref().map(|(name, v)| (*name, &v[..]))).unwrap();

    let program = Program::compile(&graph, &Variables::new()).unwrap();
    assert!(program.labels().all(|op| !op.ends_with("add_scaled")), "the sum is a part of the convolution");
    let convolutions = program.convolutions();
    assert_eq!(convolutions.len(), 3, "a convolution and its two gradients");
    let mut gpu = opened(&GpuOptions::default().adapter(adapter()).gpu_kernels(gpu_kernels));
    let software = gpu.summary().is_software() && !gpu_kernels;
    let names = |shape: &ConvShape| shape.candidates(software).into_iter();
    // A software driver has the other kernels of GPUs among its own.
    let wanted = |name: &String| !gpu_kernels || name.starts_with("register");
    let candidates: Vec<Vec<String>> = convolutions.iter().map(|shape| names(shape).filter(wanted).collect()).collect();
    let most = candidates.iter().map(Vec::len).max().unwrap();
    for turn in 0..most {
        let kernel = |names: &Vec<String>| names[turn % names.len()].clone();
        let chosen: Vec<_> = convolutions.iter().copied().zip(candidates.iter().map(kernel)).collect();
        gpu.choose_kernels(&chosen.iter().cloned().collect());
        let got = gpu.evaluate(&graph, &singles.each_ref().map(|(name, v)| (*name, &v[..]))).unwrap();
        for (name, expected) in &exact {
            let got: Vec<f64> = got[name].iter().map(|&v| v.into()).collect();
            assert_close(&format!("{name} by {chosen:?}"), &got, expected, 2e-5);
        }
    }
    candidates.iter().map(Vec::len).sum()
}

fn check_every_candidate(transposed: bool) {
    let case = |n, channels, side, kernel, stride, padding, extra| Case {
        n,
        channels,
        side,
        kernel,
        window: Window { stride: [stride; 2], padding: [padding; 2] },
        extra,
        bias: true,
        added: Some(transposed),
        activation: Activation::LeakyRelu(0.2),
        seed: 5,
    };
    let cases = [
        case(1, [16, 33], [8, 8], [4, 4], 2, 1, [0, 0]),
        case(2, [9, 17], [4, 4], [4, 4], 2, 1, [0, 0]),
        case(5, [3, 17], [5, 7], [3, 2], 2, 1, [1, 0]),
        case(9, [8, 24], [1, 1], [4, 4], 1, 0, [0, 0]),
        case(2, [1, 8], [16, 16], [4, 4], 2, 1, [0, 0]),
        case(3, [33, 5], [9, 3], [5, 1], 1, 1, [0, 0]),
        case(2, [70, 2], [5, 6], [4, 4], 2, 1, [1, 0]),
        case(3, [300, 1], [1, 1], [4, 4], 1, 0, [0, 0]),
    ];
    for gpu_kernels in [false, true] {
        let counts: Vec<usize> = cases.iter().map(|case| check_candidates(case, transposed, gpu_kernels)).collect();
        // Three variants for each of three ops at least, and most shapes leave a choice of tiles.
        let least = if gpu_kernels { 3 } else { 9 };
        let sum = counts.iter().sum::<usize>();
        assert!(counts.iter().all(|&count| count >= least) && 3 * sum > 4 * least * counts.len(), "{counts:?}");
    }
}

#[test]
fn every_kernel_of_a_convolution_gives_the_same_numbers() {
    check_every_candidate(false);
}

#[test]
fn every_kernel_of_a_transposed_convolution_gives_the_same_numbers() {
    check_every_candidate(true);
}

/// Weights that the host writes between runs, in numbers that divide into fours and that do not. From the second run on the CPU
/// executor has them packed.
#[test]
fn weights_that_no_step_changes() {
    let mut variables = Variables::new();
    let group = variables.group("weights");
    let shapes = [[192, 96, 4, 4], [96, 5, 3, 3], [5, 7, 3, 3]];
    let weights = shapes.map(|shape| variables.add(group, format!("{shape:?}"), shape));
    let mut graph = Graph::new();
    let [large, middle, small] = weights.map(|weight| graph.variable(&variables, weight));
    let window = Window { stride: [2; 2], padding: [1; 2] };
    let x = graph.input("x", [2, 96, 8, 8]);
    let narrow = graph.conv2d(x, large, None, window).unwrap();
    let wide = graph.conv_transpose2d(narrow, large, None, window, [0; 2]).unwrap();
    let few = graph.conv_transpose2d(wide, middle, None, Window { stride: [1; 2], padding: [1; 2] }, [0; 2]).unwrap();
    let y = graph.conv_transpose2d(few, small, None, window, [1; 2]).unwrap();
    for (name, tensor) in [("narrow", narrow), ("wide", wide), ("few", few), ("y", y)] {
        graph.output(name, tensor);
    }
    let program = Program::compile(&graph, &variables).unwrap();
    let results = |executor: &mut dyn Executor| -> Vec<Vec<f32>> {
        let program = executor.load(program.clone()).unwrap();
        let numbers = |seed, len| random(seed, len).into_iter().map(|v| v as f32 / 8.0).collect::<Vec<_>>();
        executor.input(program, "x", &numbers(1, 2 * 96 * 64)).unwrap();
        let mut after_writing = |seed: u64| {
            for ((weight, shape), number) in weights.iter().zip(shapes).zip(seed..) {
                executor.write(*weight, &numbers(number, shape.iter().product())).unwrap();
            }
            executor.run(program, 2).unwrap();
            let outputs = ["narrow", "wide", "few", "y"].map(|name| Readback::Output(program, name));
            executor.read(&outputs).unwrap().wait().unwrap()
        };
        [after_writing(2), after_writing(12)].concat()
    };
    let expected = results(&mut Cpu::new());
    assert!(expected[..4].iter().zip(&expected[4..]).all(|(first, second)| first != second));
    let got = results(&mut *gpu(ConvVariant::Register));
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let [got, expected] = [got, expected].map(|numbers| numbers.iter().map(|&v| v.into()).collect::<Vec<f64>>());
        assert_close(&format!("output {i}"), &got, &expected, 2e-5);
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    (batch(), channels(), 1..=9usize, 1..=9usize).prop_map(|(n, c, h, w)| [n, c, h, w])
}

/// Checks an op of inputs that all have the same random shape.
fn check_on_shapes(
    inputs: usize,
    tolerance: f64,
    build: impl Fn(&mut Graph, &[Tensor]) -> Result<Tensor, EngineError>,
) {
    cases(20, (shape(), any::<u64>()), |(shape, seed)| {
        check(&mut gpu(ConvVariant::Naive), seed, &vec![shape; inputs], tolerance, &build);
    });
}

#[test]
fn activations() {
    for activation in ACTIVATIONS {
        check_on_shapes(1, 1e-5, |graph, x| {
            let twice = graph.scale(x[0], 2.0)?;
            graph.activation(twice, activation)
        });
    }
}

#[test]
fn add_sub_scale() {
    check_on_shapes(3, 1e-6, |graph, x| {
        let sum = graph.add(x[0], x[1])?;
        let half = graph.scale(x[2], 0.5)?;
        let difference = graph.sub(sum, half)?;
        graph.add(difference, x[0])
    });
}

#[test]
fn sums_and_means() {
    check_on_shapes(1, 1e-5, |graph, x| {
        let (sum, mean) = (graph.sum(x[0])?, graph.mean(x[0])?);
        graph.add(sum, mean)
    });
}

#[test]
fn distances() {
    for measure in [Measure::L1, Measure::MeanSquared, Measure::L2] {
        check_on_shapes(2, 1e-5, |graph, x| graph.distance(x[0], x[1], measure));
    }
}

#[test]
fn binary_cross_entropy() {
    cases(20, (shape(), any::<u64>()), |(shape, seed)| {
        let targets: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i % 3) as f32 / 2.0).collect();
        check(&mut gpu(ConvVariant::Naive), seed, &[shape], 1e-5, |graph, x| {
            let logits = graph.scale(x[0], 5.0)?;
            let targets = graph.constant(shape, &targets)?;
            graph.bce_with_logits(logits, targets)
        });
    });
}

#[test]
fn latent_normalisation() {
    check_on_shapes(1, 1e-5, |graph, x| graph.unit_rms(x[0]));
}

#[test]
fn batch_concatenation() {
    cases(20, (shape(), batch(), any::<u64>()), |(shape, n, seed)| {
        let [_, c, h, w] = shape;
        check(&mut gpu(ConvVariant::Naive), seed, &[shape, [n, c, h, w]], 1e-6, |graph, x| {
            graph.batch_concat(x[0], x[1])
        });
    });
}

#[test]
fn batch_norm() {
    let strategy = (1..=3usize, 2..=6usize, channels(), 1..=5usize, 2..=5usize, activation(), any::<u64>());
    cases(40, strategy, |(sets, images, c, h, w, activation, seed)| {
        let shapes = [[sets * images, c, h, w], [1, c, 1, 1], [1, c, 1, 1]];
        check(&mut gpu(ConvVariant::Naive), seed, &shapes, 5e-5, |graph, x| {
            let statistics = Statistics::Batch { sets, running: None };
            let y = graph.batch_norm(x[0], x[1], x[2], statistics, 1e-5)?;
            graph.activation(y, activation)
        });
    });
}

#[test]
fn batch_norm_by_given_statistics() {
    cases(20, (shape(), any::<u64>()), |(shape, seed)| {
        let c = shape[1];
        let given: Vec<f32> = (0..2 * c).map(|i| 0.5 + i as f32 / (2 * c) as f32).collect();
        check(&mut gpu(ConvVariant::Naive), seed, &[shape, [1, c, 1, 1], [1, c, 1, 1]], 1e-5, |graph, x| {
            let given = graph.constant([1, 2, c, 1], &given)?;
            graph.batch_norm(x[0], x[1], x[2], Statistics::Fixed(given), 1e-5)
        });
    });
}
