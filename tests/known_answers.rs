//! Every op against PyTorch, and what the engine refuses.
//!
//! `tests/known_answers.py` makes the expected values from the same inputs, in double precision.

mod common;
#[path = "known_answers/values.rs"]
#[rustfmt::skip]
mod values;

use common::{VARIANTS, adapter, assert_close, opened};
use pkdgan::engine::{
    Activation, AdamGroups, AdamSettings, Cpu, EngineError, Executor, GpuOptions, Graph, Measure, Program, Readback,
    Running, Schedule, Shape, Statistics, Tensor, VarId, Variables, Window,
};
use pkdgan::unstable::engine::{GpuOptionsInternals, GraphInternals, Recolouring, Reference, Transformation};

/// The inputs: element i is sin(0.37 i^2 + k).
fn wave(k: usize, shape: Shape) -> Vec<f32> {
    let element = |i: usize| (0.37 * i as f64 * i as f64 + k as f64).sin() as f32;
    (0..shape.iter().product()).map(element).collect()
}

/// The error to allow where a kernel computes in single precision; gradients of norms cancel.
const SINGLE: f64 = 1e-5;

/// Runs `test` on the CPU executor in both precisions and on the GPU with each kind of convolution,
/// with the error to allow, relative to the largest value of a tensor.
/// All start empty: an executor knows variables by their place in one registry only.
fn on_every_executor(test: impl Fn(&str, &mut dyn Executor, f64)) {
    // Results come back in single precision, and constants such as epsilon are kept in it.
    test("cpu in double precision", &mut Reference::exact(), 2e-7);
    test("cpu", &mut Cpu::new(), SINGLE);
    for variant in VARIANTS {
        let options = GpuOptions::default().adapter(adapter()).convolution(Some(variant));
        let mut gpu = opened(&options);
        test(&format!("gpu, {variant:?}"), &mut gpu, SINGLE);
    }
}

/// A graph with its inputs and what its outputs must be.
#[derive(Default)]
struct Known {
    graph: Graph,
    variables: Variables,
    inputs: Vec<(String, Vec<f32>)>,
    expected: Vec<(&'static str, &'static [f64])>,
}

impl Known {
    fn input(&mut self, shape: Shape, values: Vec<f32>) -> Tensor {
        let name = format!("input {}", self.inputs.len());
        let x = self.graph.input(&name, shape);
        self.inputs.push((name, values));
        x
    }

    fn wave(&mut self, k: usize, shape: Shape) -> Tensor {
        self.input(shape, wave(k, shape))
    }

    fn expect(&mut self, name: &'static str, x: Tensor, values: &'static [f64]) {
        self.graph.output(name, x);
        self.expected.push((name, values));
    }

    /// The sum of squares of y less a wave.
    fn squares(&mut self, y: Tensor, k: usize) -> Tensor {
        let shape = self.graph.shape(y);
        let target = self.graph.constant(shape, &wave(k, shape)).unwrap();
        let distances = self.graph.distance(y, target, Measure::MeanSquared).unwrap();
        let mean = self.graph.mean(distances).unwrap();
        self.graph.scale(mean, shape.iter().product::<usize>() as f32).unwrap()
    }

    fn expect_gradients(&mut self, loss: Tensor, by: &[(&'static str, Tensor, &'static [f64])]) {
        let tensors: Vec<Tensor> = by.iter().map(|&(_, x, _)| x).collect();
        let gradients = self.graph.gradients(loss, &tensors).unwrap();
        for (&(name, _, values), gradient) in by.iter().zip(gradients) {
            self.expect(name, gradient, values);
        }
    }

    /// Runs once and compares every output.
    fn check_on(&self, what: &str, executor: &mut dyn Executor, tolerance: f64) {
        let id = executor.load(Program::compile(&self.graph, &self.variables).unwrap()).unwrap();
        for (name, values) in &self.inputs {
            executor.input(id, name, values).unwrap();
        }
        executor.run(id, 1).unwrap();
        let outputs: Vec<Readback> = self.expected.iter().map(|(name, _)| Readback::Output(id, name)).collect();
        for ((name, expected), got) in self.expected.iter().zip(executor.read(&outputs).unwrap().wait().unwrap()) {
            assert_close(&format!("{what}: {name}"), &wide(&got), expected, tolerance);
        }
        executor.unload(id);
    }

    fn check(&self, what: &str) {
        on_every_executor(|name, executor, tolerance| {
            self.check_on(&format!("{what} on {name}"), executor, tolerance);
        });
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

fn assert_variable(what: &str, executor: &mut dyn Executor, variable: VarId, expected: &[f64], tolerance: f64) {
    let got = executor.read(&[Readback::Variable(variable)]).unwrap().wait_one().unwrap();
    assert_close(what, &wide(&got), expected, tolerance);
}

/// Checks a convolution of waves, with bias, and its three gradients: y, dx, dw, db.
fn check_convolution(
    what: &str,
    [x, w]: [Shape; 2],
    channels: usize,
    expected: [&'static [f64]; 4],
    build: impl Fn(&mut Graph, [Tensor; 3]) -> Result<Tensor, EngineError>,
) {
    let mut known = Known::default();
    let (x, w, b) = (known.wave(0, x), known.wave(1, w), known.wave(2, [1, channels, 1, 1]));
    let y = build(&mut known.graph, [x, w, b]).unwrap();
    known.expect("y", y, expected[0]);
    let loss = known.squares(y, 3);
    known.expect_gradients(loss, &[("dx", x, expected[1]), ("dw", w, expected[2]), ("db", b, expected[3])]);
    known.check(what);
}

#[test]
fn conv2d_of_odd_sides() {
    use values::{CONV_ODD_DB, CONV_ODD_DW, CONV_ODD_DX, CONV_ODD_Y};
    check_convolution(
        "conv2d of odd sides",
        [[2, 2, 5, 7], [3, 2, 4, 4]],
        3,
        [CONV_ODD_Y, CONV_ODD_DX, CONV_ODD_DW, CONV_ODD_DB],
        |graph, [x, w, b]| graph.conv2d(x, w, Some(b), Window::stride(2).padding(1)),
    );
}

#[test]
fn conv2d_by_an_oblong_window() {
    use values::{CONV_OBLONG_DB, CONV_OBLONG_DW, CONV_OBLONG_DX, CONV_OBLONG_Y};
    check_convolution(
        "oblong conv2d",
        [[2, 2, 3, 5], [3, 2, 2, 3]],
        3,
        [CONV_OBLONG_Y, CONV_OBLONG_DX, CONV_OBLONG_DW, CONV_OBLONG_DB],
        |graph, [x, w, b]| graph.conv2d(x, w, Some(b), Window { stride: [1, 2], padding: [0, 2] }),
    );
}

#[test]
fn conv_transpose2d_with_output_padding() {
    use values::{TRANSPOSE_DB, TRANSPOSE_DW, TRANSPOSE_DX, TRANSPOSE_Y};
    check_convolution(
        "conv_transpose2d",
        [[2, 3, 2, 3], [3, 2, 3, 3]],
        2,
        [TRANSPOSE_Y, TRANSPOSE_DX, TRANSPOSE_DW, TRANSPOSE_DB],
        |graph, [x, w, b]| graph.conv_transpose2d(x, w, Some(b), Window::stride(2).padding(1), [1, 1]),
    );
}

#[test]
fn conv_transpose2d_by_an_oblong_window() {
    use values::{TRANSPOSE_OBLONG_DB, TRANSPOSE_OBLONG_DW, TRANSPOSE_OBLONG_DX, TRANSPOSE_OBLONG_Y};
    check_convolution(
        "oblong conv_transpose2d",
        [[1, 2, 3, 2], [2, 3, 2, 4]],
        3,
        [TRANSPOSE_OBLONG_Y, TRANSPOSE_OBLONG_DX, TRANSPOSE_OBLONG_DW, TRANSPOSE_OBLONG_DB],
        |graph, [x, w, b]| graph.conv_transpose2d(x, w, Some(b), Window { stride: [1, 2], padding: [0, 1] }, [0, 1]),
    );
}

/// A batch norm of waves and its gradients: y, dx, dscale, dshift.
fn batch_norm(
    variables: &Variables,
    shape: Shape,
    statistics: impl Fn(&mut Graph) -> Statistics,
    expected: [&'static [f64]; 4],
) -> Known {
    let mut known = Known { variables: variables.clone(), ..Known::default() };
    let channels = [1, shape[1], 1, 1];
    let (x, scale, shift) = (known.wave(0, shape), known.wave(1, channels), known.wave(2, channels));
    let statistics = statistics(&mut known.graph);
    let y = known.graph.batch_norm(x, scale, shift, statistics, 1e-5).unwrap();
    known.expect("y", y, expected[0]);
    let loss = known.squares(y, 3);
    known.expect_gradients(
        loss,
        &[("dx", x, expected[1]), ("dscale", scale, expected[2]), ("dshift", shift, expected[3])],
    );
    known
}

/// Training on a batch, evaluation by the running averages that it left, and training on two batches
/// at once that each have statistics of their own.
#[test]
fn batch_norm_and_its_running_averages() {
    use values::{
        BATCH_NORM_DSCALE, BATCH_NORM_DSHIFT, BATCH_NORM_DX, BATCH_NORM_RUNNING, BATCH_NORM_Y, EVALUATION_DSCALE,
        EVALUATION_DSHIFT, EVALUATION_DX, EVALUATION_Y, TWO_SETS_DSCALE, TWO_SETS_DSHIFT, TWO_SETS_DX,
        TWO_SETS_RUNNING, TWO_SETS_Y,
    };
    let mut variables = Variables::new();
    let group = variables.group("running");
    let variable = variables.add(group, "norm", [1, 2, 2, 1]);
    let running = Some(Running { variable, momentum: 0.1 });
    let training = batch_norm(
        &variables,
        [3, 2, 2, 2],
        |_| Statistics::Batch { sets: 1, running },
        [BATCH_NORM_Y, BATCH_NORM_DX, BATCH_NORM_DSCALE, BATCH_NORM_DSHIFT],
    );
    let evaluation = batch_norm(
        &variables,
        [3, 2, 2, 3],
        |graph| Statistics::Fixed(graph.variable(&variables, variable)),
        [EVALUATION_Y, EVALUATION_DX, EVALUATION_DSCALE, EVALUATION_DSHIFT],
    );
    let two_sets = batch_norm(
        &variables,
        [4, 2, 1, 3],
        |_| Statistics::Batch { sets: 2, running },
        [TWO_SETS_Y, TWO_SETS_DX, TWO_SETS_DSCALE, TWO_SETS_DSHIFT],
    );
    on_every_executor(|name, executor, tolerance| {
        executor.allocate(&variables).unwrap();
        executor.write(variable, &[0.25, -0.5, 1.5, 0.75]).unwrap();
        training.check_on(&format!("training on {name}"), executor, tolerance);
        assert_variable(&format!("after training on {name}"), executor, variable, BATCH_NORM_RUNNING, tolerance);
        evaluation.check_on(&format!("evaluation on {name}"), executor, tolerance);
        assert_variable(&format!("after evaluation on {name}"), executor, variable, BATCH_NORM_RUNNING, tolerance);
        two_sets.check_on(&format!("two sets on {name}"), executor, tolerance);
        assert_variable(&format!("after two sets on {name}"), executor, variable, TWO_SETS_RUNNING, tolerance);
    });
}

/// With statistics per image, batch norm is instance norm.
#[test]
fn instance_norm() {
    use values::{PER_IMAGE_DSCALE, PER_IMAGE_DSHIFT, PER_IMAGE_DX, PER_IMAGE_Y};
    let known = batch_norm(
        &Variables::new(),
        [3, 2, 2, 2],
        |_| Statistics::Batch { sets: 3, running: None },
        [PER_IMAGE_Y, PER_IMAGE_DX, PER_IMAGE_DSCALE, PER_IMAGE_DSHIFT],
    );
    known.check("instance norm");
}

/// On moderate numbers, and on numbers whose exponential overflows.
#[test]
fn activations() {
    use values::{
        LEAKY_RELU_DX, LEAKY_RELU_FAR_DX, LEAKY_RELU_FAR_Y, LEAKY_RELU_Y, RELU_DX, RELU_FAR_DX, RELU_FAR_Y, RELU_Y,
        SIGMOID_DX, SIGMOID_FAR_DX, SIGMOID_FAR_Y, SIGMOID_Y, TANH_DX, TANH_FAR_DX, TANH_FAR_Y, TANH_Y,
    };
    for (activation, [y, dx, far_y, far_dx]) in [
        (Activation::Relu, [RELU_Y, RELU_DX, RELU_FAR_Y, RELU_FAR_DX]),
        (Activation::LeakyRelu(0.2), [LEAKY_RELU_Y, LEAKY_RELU_DX, LEAKY_RELU_FAR_Y, LEAKY_RELU_FAR_DX]),
        (Activation::Tanh, [TANH_Y, TANH_DX, TANH_FAR_Y, TANH_FAR_DX]),
        (Activation::Sigmoid, [SIGMOID_Y, SIGMOID_DX, SIGMOID_FAR_Y, SIGMOID_FAR_DX]),
    ] {
        let mut known = Known::default();
        let x = known.wave(0, [12, 1, 1, 1]);
        let scaled = known.graph.scale(x, 4.0).unwrap();
        let result = known.graph.activation(scaled, activation).unwrap();
        known.expect("y", result, y);
        let loss = known.squares(result, 3);
        known.expect_gradients(loss, &[("dx", x, dx)]);

        let x = known.input([5, 1, 1, 1], vec![-100.0, -20.0, 0.0, 20.0, 100.0]);
        let result = known.graph.activation(x, activation).unwrap();
        known.expect("y far from zero", result, far_y);
        let loss = known.squares(result, 3);
        known.expect_gradients(loss, &[("dx far from zero", x, far_dx)]);
        known.check(&format!("{activation:?}"));
    }
}

#[test]
fn bce_with_logits() {
    use values::{BCE_DLOGITS, BCE_FAR_DLOGITS, BCE_FAR_Y, BCE_Y};
    let mut known = Known::default();
    let logits = known.wave(0, [8, 1, 1, 1]);
    let scaled = known.graph.scale(logits, 5.0).unwrap();
    let targets = known.graph.constant([8, 1, 1, 1], &[1.0, 0.0, 0.9, 0.1, 0.5, 1.0, 0.0, 0.25]).unwrap();
    let losses = known.graph.bce_with_logits(scaled, targets).unwrap();
    let loss = known.graph.mean(losses).unwrap();
    known.expect("loss", loss, BCE_Y);
    known.expect_gradients(loss, &[("gradient", logits, BCE_DLOGITS)]);

    let logits = known.input([5, 1, 1, 1], vec![-100.0, -100.0, 0.0, 100.0, 100.0]);
    let targets = known.graph.constant([5, 1, 1, 1], &[0.0, 1.0, 1.0, 0.0, 1.0]).unwrap();
    let losses = known.graph.bce_with_logits(logits, targets).unwrap();
    let loss = known.graph.mean(losses).unwrap();
    known.expect("loss far from zero", loss, BCE_FAR_Y);
    known.expect_gradients(loss, &[("gradient far from zero", logits, BCE_FAR_DLOGITS)]);
    known.check("bce_with_logits");
}

#[test]
fn distances() {
    use values::{L1_DA, L1_DB, L1_Y, L2_DA, L2_DB, L2_Y, MSE_DA, MSE_DB, MSE_Y};
    for (measure, [y, da, db]) in [
        (Measure::L1, [L1_Y, L1_DA, L1_DB]),
        (Measure::MeanSquared, [MSE_Y, MSE_DA, MSE_DB]),
        (Measure::L2, [L2_Y, L2_DA, L2_DB]),
    ] {
        let mut known = Known::default();
        let (a, b) = (known.wave(0, [3, 2, 2, 1]), known.wave(1, [3, 2, 2, 1]));
        let distances = known.graph.distance(a, b, measure).unwrap();
        known.expect("distances", distances, y);
        let loss = known.graph.mean(distances).unwrap();
        known.expect_gradients(loss, &[("da", a, da), ("db", b, db)]);
        known.check(&format!("{measure:?}"));
    }
}

#[test]
fn latents_of_unit_rms() {
    use values::{UNIT_RMS_DH, UNIT_RMS_Y};
    let mut known = Known::default();
    let h = known.wave(0, [3, 5, 1, 1]);
    let z = known.graph.unit_rms(h).unwrap();
    known.expect("z", z, UNIT_RMS_Y);
    let loss = known.squares(z, 3);
    known.expect_gradients(loss, &[("dh", h, UNIT_RMS_DH)]);
    known.check("unit_rms");
}

/// A 3x3 image whose pixels are 1 to 9, and another channel with ten times that.
#[test]
fn transformed_images() {
    let image: Vec<f32> = (1..=9).map(|pixel| pixel as f32).collect();
    let both: Vec<f32> = image.iter().copied().chain(image.iter().map(|pixel| 10.0 * pixel)).collect();
    let plain = Transformation::default();
    let cases: [(Transformation, [f64; 9], f64); 9] = [
        (plain, [1., 2., 3., 4., 5., 6., 7., 8., 9.], 1.),
        (Transformation { turns: 1, ..plain }, [3., 6., 9., 2., 5., 8., 1., 4., 7.], 1.),
        (Transformation { turns: 2, ..plain }, [9., 8., 7., 6., 5., 4., 3., 2., 1.], 1.),
        (Transformation { turns: 3, ..plain }, [7., 4., 1., 8., 5., 2., 9., 6., 3.], 1.),
        (Transformation { mirrored: true, ..plain }, [3., 2., 1., 6., 5., 4., 9., 8., 7.], 1.),
        (Transformation { shift: [1, -1], ..plain }, [4., 4., 5., 7., 7., 8., 7., 7., 8.], 1.),
        (
            Transformation { turns: 1, mirrored: true, shift: [-2, 0], ..plain },
            [9., 6., 3., 9., 6., 3., 9., 6., 3.],
            1.,
        ),
        (Transformation { recolouring: Recolouring::Next, ..plain }, [1., 2., 3., 4., 5., 6., 7., 8., 9.], 10.),
        (
            Transformation { recolouring: Recolouring::Negative, ..plain },
            [-1., -2., -3., -4., -5., -6., -7., -8., -9.],
            1.,
        ),
    ];
    for (transformation, expected, first) in cases {
        // The second of two images at the second step takes entry 3, which is entry 0 of three again.
        let codes = [transformation.code(2), 0.0, 0.0];
        on_every_executor(|name, executor, tolerance| {
            let mut graph = Graph::new();
            let x = graph.input("x", [2, 2, 3, 3]);
            let codes_in = graph.input("codes", [1, 1, 1, 3]);
            let step = graph.input("step", [1; 4]);
            let y = graph.augment(x, codes_in, step, 2).unwrap();
            graph.output("y", y);
            let id = executor.load(Program::compile(&graph, &Variables::new()).unwrap()).unwrap();
            executor.input(id, "x", &[vec![0.0; 18], both.clone()].concat()).unwrap();
            executor.input(id, "codes", &codes).unwrap();
            executor.input(id, "step", &[1.0]).unwrap();
            executor.run(id, 1).unwrap();
            let got = executor.read(&[Readback::Output(id, "y")]).unwrap().wait_one().unwrap();
            let second = if first == 10.0 { 1.0 } else { 10.0 };
            let expected: Vec<f64> = [first, second].iter().flat_map(|f| expected.map(|pixel| f * pixel)).collect();
            assert_close(&format!("{transformation:?} on {name}"), &wide(&got[18..]), &expected, tolerance);
        });
    }
}

#[test]
fn bytes_are_taken_from_the_slot_of_their_step() {
    // Two slots for 2 x 1 x 1 x 3 bytes, each rounded up to eight. Among the bytes are four that, as a number, are none.
    let slots: [[u8; 8]; 2] = [[0, 1, 127, 128, 254, 255, 9, 9], [255, 255, 160, 127, 3, 2, 9, 9]];
    let levels: Vec<f32> = (0..256).map(|byte| byte as f32 / 2.0 - 1.0).collect();
    for (step, slot) in [(0.0, 0), (1.0, 1), (5.0, 1), (6.0, 0)] {
        on_every_executor(|name, executor, tolerance| {
            let mut variables = Variables::new();
            let group = variables.group("ring");
            let ring = variables.add(group, "ring", [2, 1, 1, 2]);
            let mut graph = Graph::new();
            let all = graph.variable(&variables, ring);
            let table = graph.constant([1, 1, 1, 256], &levels).unwrap();
            let clock = graph.input("step", [1; 4]);
            let y = graph.gather_bytes(all, table, clock, [2, 1, 1, 3]).unwrap();
            graph.output("y", y);
            let id = executor.load(Program::compile(&graph, &variables).unwrap()).unwrap();
            for (first, bytes) in [(2, &slots[1]), (0, &slots[0])] {
                executor.write_bytes(ring, first, bytes).unwrap();
            }
            executor.input(id, "step", &[step]).unwrap();
            executor.run(id, 1).unwrap();
            let got = executor.read(&[Readback::Output(id, "y")]).unwrap().wait_one().unwrap();
            let expected: Vec<f64> = slots[slot][..6].iter().map(|&byte| f64::from(byte) / 2.0 - 1.0).collect();
            assert_close(&format!("step {step} on {name}"), &wide(&got), &expected, tolerance);

            for (first, bytes, part) in
                [(3, &[0; 8][..], "2 elements from 3 on"), (0, &[0; 3], "3 bytes do not fill whole elements")]
            {
                let error = executor.write_bytes(ring, first, bytes).unwrap_err().to_string();
                assert!(error.contains(part), "{name}: {error}");
            }
            executor.write_part(ring, 1, &[0.5, 2.5]).unwrap();
            let there = executor.read(&[Readback::Variable(ring)]).unwrap().wait_one().unwrap();
            assert_eq!(there[1..3], [0.5, 2.5], "{name}");
            assert!(executor.write_part(ring, 4, &[0.5]).is_err());
        });
    }
    let mut graph = Graph::new();
    let [ring, table, step] = [[2, 1, 1, 2], [1, 1, 1, 255], [1; 4]].map(|shape| graph.input("x", shape));
    let error = graph.gather_bytes(ring, table, step, [2, 1, 1, 3]).unwrap_err().to_string();
    assert!(error.contains("256 levels are needed, not 255"), "{error}");
    let error = graph.gather_bytes(ring, table, step, [3, 1, 1, 3]).unwrap_err().to_string();
    assert!(error.contains("has 3 elements"), "{error}");
}

#[test]
fn no_gradient_through_fixed_statistics() {
    // The tensor reaches the loss by another way too: its gradient would be wrong in part.
    for beside in [false, true] {
        let mut graph = Graph::new();
        let [x, scale, shift] = ["x", "scale", "shift"].map(|name| graph.input(name, [1, 1, 1, 1]));
        let fixed = graph.input("fixed", [1, 2, 1, 1]);
        let y = graph.batch_norm(x, scale, shift, Statistics::Fixed(fixed), 1e-5).unwrap();
        let mut loss = graph.sum(y).unwrap();
        if beside {
            let sum = graph.sum(fixed).unwrap();
            loss = graph.add(loss, sum).unwrap();
        }
        graph.scope("later");
        let error = graph.gradients(loss, &[fixed]).unwrap_err().to_string();
        assert!(error.contains("batch_norm by fixed"), "{error}");
        // What comes next is named by its own scope.
        let wide = graph.input("wide", [2, 1, 1, 1]);
        assert!(graph.add(x, wide).unwrap_err().to_string().starts_with("later/add_scaled"));
        graph.gradients(loss, &[x, scale, shift]).unwrap();
    }
}

#[test]
fn no_gradient_through_detach() {
    let mut known = Known::default();
    let x = known.wave(0, [8, 1, 1, 1]);
    let student = known.graph.activation(x, Activation::Tanh).unwrap();
    let teacher = known.graph.activation(x, Activation::Sigmoid).unwrap();
    let teacher = known.graph.detach(teacher);
    let distances = known.graph.distance(student, teacher, Measure::MeanSquared).unwrap();
    let loss = known.graph.sum(distances).unwrap();
    known.expect_gradients(loss, &[("dx", x, values::DETACH_DX)]);
    known.check("detach");

    // Nothing but the detached path leads to x here.
    let loss = known.graph.sum(teacher).unwrap();
    let error = known.graph.gradients(loss, &[x]).unwrap_err();
    assert!(matches!(&error, EngineError::Unreachable { name } if name == "input 0"), "{error}");
}

/// A convolution whose weight and bias follow Adam.
struct Training {
    variables: Variables,
    groups: AdamGroups,
    weight: VarId,
    bias: VarId,
    graph: Graph,
}

fn training(schedule: Schedule) -> Training {
    let mut variables = Variables::new();
    let parameters = variables.group("network");
    let weight = variables.add(parameters, "weight", [2, 2, 2, 2]);
    let bias = variables.add(parameters, "bias", [1, 2, 1, 1]);
    let groups = AdamGroups::mirror(&mut variables, parameters);
    let clock = variables.group("clock");
    let clock = variables.add(clock, "step", [1; 4]);
    let settings = AdamSettings::new(0.05, 3).schedule(schedule).betas([0.5, 0.999]).epsilon(1e-8);

    let mut known = Known::default();
    let x = known.graph.constant([2, 2, 3, 3], &wave(0, [2, 2, 3, 3])).unwrap();
    let (w, b) = (known.graph.variable(&variables, weight), known.graph.variable(&variables, bias));
    let y = known.graph.conv2d(x, w, Some(b), Window::stride(1)).unwrap();
    let loss = known.squares(y, 3);
    let mut graph = known.graph;
    let gradients = graph.gradients(loss, &[w, b]).unwrap();
    let step = graph.variable(&variables, clock);
    let table = graph.constant([1, 1, 3, 2], &settings.table()).unwrap();
    graph.adam(&variables, groups, &settings, [step, table], &gradients).unwrap();
    graph.tick(clock).unwrap();
    Training { variables, groups, weight, bias, graph }
}

/// Runs three steps, so many at once, and compares the parameters after each run and the moments at
/// the end. In the expected values the weight's numbers come first, then the bias's.
fn check_adam(schedule: Schedule, times: usize, parameters: &[&[f64]], moments: [&[f64]; 2]) {
    let Training { variables, groups, weight, bias, graph } = training(schedule);
    on_every_executor(|name, executor, tolerance| {
        let compare = |executor: &mut dyn Executor, run: usize, group, expected: &[f64], tolerance: f64| {
            for (variable, expected) in [(weight, &expected[..16]), (bias, &expected[16..])] {
                let variable = variables.mirror_of(variable, group);
                let kind = variables.group_name(group);
                let what = format!("{schedule:?}, {kind}.{} after run {run} on {name}", variables.name(variable));
                assert_variable(&what, executor, variable, expected, tolerance);
            }
        };
        let program = executor.load(Program::compile(&graph, &variables).unwrap()).unwrap();
        executor.write(weight, &wave(1, [2, 2, 2, 2])).unwrap();
        executor.write(bias, &wave(2, [1, 2, 1, 1])).unwrap();
        for (run, expected) in (1..).zip(parameters) {
            executor.run(program, times).unwrap();
            compare(executor, run, groups.parameters, expected, tolerance);
        }
        for (group, expected) in [groups.first, groups.second].into_iter().zip(moments) {
            compare(executor, parameters.len(), group, expected, tolerance);
        }
    });
}

#[test]
fn adam_with_a_falling_learning_rate() {
    use values::{ADAM_COSINE_1, ADAM_COSINE_2, ADAM_COSINE_3, ADAM_COSINE_FIRST, ADAM_COSINE_SECOND};
    let parameters = [ADAM_COSINE_1, ADAM_COSINE_2, ADAM_COSINE_3];
    check_adam(Schedule::Cosine, 1, &parameters, [ADAM_COSINE_FIRST, ADAM_COSINE_SECOND]);
}

#[test]
fn adam_with_a_constant_learning_rate() {
    use values::{ADAM_CONSTANT_3, ADAM_CONSTANT_FIRST, ADAM_CONSTANT_SECOND};
    check_adam(Schedule::Constant, 3, &[ADAM_CONSTANT_3], [ADAM_CONSTANT_FIRST, ADAM_CONSTANT_SECOND]);
}

/// The op that an error of shapes names, and what it says is wrong.
fn refusal<T: std::fmt::Debug>(result: Result<T, EngineError>) -> (String, String) {
    match result {
        Err(EngineError::Shape { op, problem }) => (op, problem),
        other => panic!("not refused for its shapes: {other:?}"),
    }
}

#[test]
fn batch_norm_of_one_value_a_channel_is_refused() {
    for (shape, sets) in [([1, 3, 1, 1], 1), ([4, 3, 1, 1], 4)] {
        let mut graph = Graph::new();
        graph.scope("discriminator.encoder");
        let (x, scale) = (graph.input("x", shape), graph.input("scale", [1, 3, 1, 1]));
        let (op, problem) = refusal(graph.batch_norm(x, scale, scale, Statistics::Batch { sets, running: None }, 1e-5));
        assert_eq!(op, "discriminator.encoder/batch_norm");
        assert!(problem.contains("one value per channel"), "{problem}");
    }
}

#[test]
fn a_variable_read_before_it_changed_is_refused() {
    let mut variables = Variables::new();
    let group = variables.group("clock");
    let clock = variables.add(group, "step", [1; 4]);
    let refused = |result: Result<(), EngineError>, reader: &str| match result {
        Err(EngineError::Stale { op, variable }) => {
            assert_eq!((op.as_str(), variable.as_str()), (reader, "clock.step"));
        }
        other => panic!("a stale variable was read: {other:?}"),
    };
    let mut graph = Graph::new();
    let before = graph.variable(&variables, clock);
    let detached = graph.detach(before);
    graph.scale(before, 2.0).unwrap();
    graph.tick(clock).unwrap();
    graph.scope("schedule");
    for stale in [before, detached] {
        refused(graph.scale(stale, 3.0).map(|_| ()), "schedule/scale");
    }
    let after = graph.variable(&variables, clock);
    graph.scale(after, 3.0).unwrap();
    graph.output("after", after);
    Program::compile(&graph, &variables).unwrap();
    graph.output("before", before);
    refused(Program::compile(&graph, &variables).map(|_| ()), "output before");
}

/// The backward pass reads weights too, and must not read those of the next step.
#[test]
fn gradients_by_parameters_that_changed_are_refused() {
    let Training { variables, groups, weight, mut graph, .. } = training(Schedule::Constant);
    let x = graph.input("x", [1, 2, 2, 2]);
    let w = graph.variable(&variables, weight);
    let y = graph.conv2d(x, w, None, Window::stride(1)).unwrap();
    let loss = graph.sum(y).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    let zeros = graph.constant([1, 2, 1, 1], &[0.0; 2]).unwrap();
    let (step, table) = (graph.scalar(0.0), graph.constant([1, 1, 1, 2], &[0.0; 2]).unwrap());
    let settings = AdamSettings::new(0.1, 1).schedule(Schedule::Constant).betas([0.5, 0.999]).epsilon(1e-8);
    graph.adam(&variables, groups, &settings, [step, table], &[gradients[0], zeros]).unwrap();
    match graph.gradients(loss, &[x]) {
        Err(EngineError::Stale { variable, .. }) => assert_eq!(variable, "network.weight"),
        other => panic!("a gradient by weights of the next step: {other:?}"),
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let mut graph = Graph::new();
    graph.scope("generator.decoder");
    let x = graph.input("x", [2, 3, 5, 5]);
    let narrow = graph.input("narrow", [4, 2, 3, 3]);
    let weight = graph.input("weight", [4, 3, 3, 3]);
    let large = graph.input("large", [4, 3, 6, 6]);
    let bias = graph.input("bias", [1, 3, 1, 1]);
    let flat = graph.input("flat", [2, 75, 1, 1]);
    let window = Window::stride(2);
    let refused = |result: Result<Tensor, EngineError>, op: &str, words: &[&str]| {
        let (named, problem) = refusal(result);
        assert_eq!(named, format!("generator.decoder/{op}"));
        for word in words {
            assert!(problem.contains(word), "{op}: {problem:?} does not say {word:?}");
        }
    };
    refused(graph.conv2d(x, narrow, None, window), "conv2d", &["3 channels", "[4, 2, 3, 3]"]);
    refused(graph.conv2d(x, large, None, window), "conv2d", &["kernel of 6", "5 padded"]);
    refused(graph.conv2d(x, weight, Some(bias), window), "conv2d", &["bias [1, 3, 1, 1]", "[1, 4, 1, 1]"]);
    refused(graph.conv2d(x, weight, None, Window::stride(0)), "conv2d", &["stride"]);
    refused(graph.conv_transpose2d(x, weight, None, window, [0, 0]), "conv_transpose2d", &["3 channels"]);
    refused(graph.conv_transpose2d(x, narrow, None, window, [2, 0]), "conv_transpose2d", &[]);
    refused(graph.add(x, flat), "add_scaled", &["[2, 3, 5, 5]", "[2, 75, 1, 1]"]);
    refused(graph.distance(x, flat, Measure::L1), "distance", &["[2, 3, 5, 5]", "[2, 75, 1, 1]"]);
    refused(graph.bce_with_logits(x, flat), "bce_with_logits", &["[2, 3, 5, 5]", "[2, 75, 1, 1]"]);
    refused(
        graph.batch_norm(x, flat, bias, Statistics::Batch { sets: 1, running: None }, 1e-5),
        "batch_norm",
        &["[2, 75, 1, 1]", "[1, 3, 1, 1]"],
    );
    refused(
        graph.batch_norm(x, bias, bias, Statistics::Batch { sets: 3, running: None }, 1e-5),
        "batch_norm",
        &["batch of 2", "3 sets"],
    );
    refused(graph.batch_norm(x, bias, bias, Statistics::Fixed(bias), 1e-5), "batch_norm", &["[1, 2, 3, 1]"]);
    refused(graph.constant([2, 2, 1, 1], &[0.0; 3]), "constant", &["3 values", "[2, 2, 1, 1]"]);
    let (_, problem) = refusal(graph.gradients(x, &[x]));
    assert!(problem.contains("scalar"), "{problem}");
}

#[test]
fn inputs_that_nobody_set_are_refused() {
    on_every_executor(|name, executor, _| {
        let mut graph = Graph::new();
        let (a, b) = (graph.input("a", [1, 1, 1, 2]), graph.input("b", [1, 1, 1, 2]));
        let y = graph.add(a, b).unwrap();
        graph.output("y", y);
        let error = executor.evaluate(&graph, &[("a", &[1.0, 2.0])]).unwrap_err().to_string();
        assert_eq!(error, "b: the input has no values yet", "{name}");
        // What nothing reads needs no values.
        graph.input("unread", [1, 1, 1, 2]);
        assert_eq!(executor.evaluate(&graph, &[("a", &[1.0, 2.0]), ("b", &[3.0, 4.0])]).unwrap()["y"], [4.0, 6.0]);
    });
}

#[test]
fn empty_tensors_groups_and_output_paddings_are_refused() {
    let mut graph = Graph::new();
    let empty = graph.input("empty", [0, 1, 4, 4]);
    assert!(refusal(graph.scale(empty, 2.0)).1.contains("empty of shape [0, 1, 4, 4] has no elements"));
    let (x, w) = (graph.input("x", [1, 4, 5, 5]), graph.input("w", [4, 2, 3, 3]));
    assert!(refusal(graph.conv2d(x, w, None, Window::stride(1))).1.contains("grouped convolutions are not supported"));
    let w = graph.input("w", [4, 4, 3, 3]);
    let (op, problem) = refusal(graph.conv_transpose2d(x, w, None, Window::stride(2), [0, 2]));
    assert_eq!(op, "conv_transpose2d");
    assert!(problem.contains("must be below the stride"), "{problem}");
}

#[test]
fn names_and_lengths_that_a_program_does_not_have_are_refused() {
    let mut graph = Graph::new();
    let x = graph.input("x", [1, 1, 2, 2]);
    let y = graph.scale(x, 2.0).unwrap();
    graph.output("y", y);
    on_every_executor(|name, executor, _| {
        let refused = |result: Result<(), EngineError>, expected: &str, word: &str| match result {
            Err(EngineError::Binding { name: named, problem }) => {
                assert_eq!(named, expected, "{name}");
                assert!(problem.contains(word), "{name}: {problem:?} does not say {word:?}");
            }
            other => panic!("{name}: {other:?}"),
        };
        let id = executor.load(Program::compile(&graph, &Variables::new()).unwrap()).unwrap();
        refused(executor.input(id, "x", &[0.0; 3]), "x", "3 values");
        refused(executor.input(id, "z", &[0.0; 4]), "z", "no such input");
        refused(executor.read(&[Readback::Output(id, "z")]).map(|_| ()), "z", "no such output");
        executor.unload(id);
        refused(executor.run(id, 1), "program 0", "does not hold");
    });
}
