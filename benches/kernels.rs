//! The convolutions of the default teacher, layer by layer and pass by pass, each beside the matrix product of the same shape by the
//! `matrixmultiply` crate with as many threads: `cargo bench --bench kernels`.
//! `-- --quick` takes fewer repeats, `-- --json` prints JSON lines, `-- --only TEXT` times the rows
//! whose name contains the text. `RAYON_NUM_THREADS` sets the threads. `-- --device gpu` times the kernels of an adapter, which
//! `PKDGAN_BENCH_ADAPTER` chooses.
//!
//! Multiply-accumulates are counted as usual, taps on the padding included.

use std::time::Instant;

use clap::Parser;
use pkdgan::engine::{
    Cpu, DeviceKind, EngineError, Executor, Gpu, GpuOptions, Graph, Program, Readback, Shape, Tensor, VarId, Variables,
    Window,
};
use rayon::prelude::*;
use serde_json::json;

/// Times the convolutions of the default teacher.
#[derive(Parser)]
struct Options {
    /// Fewer repeats.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// `cpu` or `gpu`.
    #[arg(long, default_value = "cpu", value_parser = device)]
    device: DeviceKind,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn device(name: &str) -> Result<DeviceKind, String> {
    let kinds = [DeviceKind::Cpu, DeviceKind::Gpu];
    kinds.into_iter().find(|kind| kind.to_string() == name).ok_or_else(|| "cpu or gpu".into())
}

/// A layer: an image of `wide` pixels a side on the one side, of `narrow` on the other.
struct Layer {
    name: &'static str,
    /// Whether it goes from narrow to wide.
    transposed: bool,
    channels: [usize; 2],
    /// Sides of the input and of the output.
    sides: [usize; 2],
    window: Window,
}

const KERNEL: usize = 4;
const BATCHES: [usize; 3] = [1, 8, 64];

fn layers() -> [Layer; 8] {
    let halving = Window { stride: [2; 2], padding: [1; 2] };
    let whole = Window { stride: [1; 2], padding: [0; 2] };
    let layer = |name, transposed, channels, sides, window| Layer { name, transposed, channels, sides, window };
    [
        layer("encoder 1", false, [1, 48], [32, 16], halving),
        layer("encoder 2", false, [48, 96], [16, 8], halving),
        layer("encoder 3", false, [96, 192], [8, 4], halving),
        layer("encoder 4", false, [192, 48], [4, 1], whole),
        layer("decoder 1", true, [48, 192], [1, 4], whole),
        layer("decoder 2", true, [192, 96], [4, 8], halving),
        layer("decoder 3", true, [96, 48], [8, 16], halving),
        layer("decoder 4", true, [48, 1], [16, 32], halving),
    ]
}

/// What is computed of a layer.
#[derive(Clone, Copy)]
enum Kernel {
    Forward,
    DataGradient,
    WeightGradient,
}

impl Kernel {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::DataGradient => "data gradient",
            Self::WeightGradient => "weight gradient",
        }
    }
}

/// Weight gradients in one program: they share the gradient that arrives, whose making must not count.
const WEIGHTS: usize = 16;

impl Layer {
    fn describe(&self) -> String {
        let ([ci, co], [from, to]) = (self.channels, self.sides);
        format!("{} {ci}->{co} {from}->{to}", self.name)
    }

    fn image(&self, end: usize, batch: usize) -> Shape {
        [batch, self.channels[end], self.sides[end], self.sides[end]]
    }

    /// `[C_out, C_in, K, K]`, for transposed convolutions `[C_in, C_out, K, K]`.
    fn weight(&self) -> Shape {
        let [ci, co] = self.channels;
        if self.transposed { [ci, co, KERNEL, KERNEL] } else { [co, ci, KERNEL, KERNEL] }
    }

    fn forward(&self, graph: &mut Graph, x: Tensor, w: Tensor) -> Result<Tensor, EngineError> {
        if self.transposed {
            graph.conv_transpose2d(x, w, None, self.window, [0, 0])
        } else {
            graph.conv2d(x, w, None, self.window)
        }
    }

    /// A graph of this kernel and of nothing else that takes time.
    fn graph(&self, kernel: Kernel, batch: usize) -> Result<Graph, EngineError> {
        let mut graph = Graph::new();
        match kernel {
            Kernel::Forward => {
                let (x, w) = (graph.input("x", self.image(0, batch)), graph.input("w", self.weight()));
                let y = self.forward(&mut graph, x, w)?;
                graph.output("result", y);
            }
            // The gradient of one kind of convolution is the other kind, by the same weight.
            Kernel::DataGradient => {
                let (dy, w) = (graph.input("dy", self.image(1, batch)), graph.input("w", self.weight()));
                let dx = if self.transposed {
                    graph.conv2d(dy, w, None, self.window)?
                } else {
                    graph.conv_transpose2d(dy, w, None, self.window, [0, 0])?
                };
                assert_eq!(graph.shape(dx), self.image(0, batch));
                graph.output("result", dx);
            }
            // Only the gradients by the weights are asked for, so the convolutions themselves are dropped.
            Kernel::WeightGradient => {
                let x = graph.input("x", self.image(0, batch));
                let weights: Vec<Tensor> = (0..WEIGHTS).map(|i| graph.input(format!("w{i}"), self.weight())).collect();
                let mut total = self.forward(&mut graph, x, weights[0])?;
                for &w in &weights[1..] {
                    let y = self.forward(&mut graph, x, w)?;
                    total = graph.add(total, y)?;
                }
                let loss = graph.sum(total)?;
                let gradients = graph.gradients(loss, &weights)?;
                for (i, gradient) in gradients.into_iter().enumerate() {
                    graph.output(if i == 0 { "result".into() } else { format!("result {i}") }, gradient);
                }
            }
        }
        Ok(graph)
    }

    /// The matrix product that it comes down to: rows, length of the sums, columns.
    fn product(&self, kernel: Kernel, batch: usize) -> [usize; 3] {
        // A transposed layer is a layer the other way round.
        let ([wide, narrow], [_, side]) = match self.transposed {
            false => (self.channels, self.sides),
            true => ([self.channels[1], self.channels[0]], [0, self.sides[0]]),
        };
        let (taps, positions) = (KERNEL * KERNEL, batch * side * side);
        match (kernel, self.transposed) {
            (Kernel::Forward, false) | (Kernel::DataGradient, true) => [narrow, wide * taps, positions],
            (Kernel::DataGradient, false) | (Kernel::Forward, true) => [wide * taps, narrow, positions],
            (Kernel::WeightGradient, _) => [narrow, positions, wide * taps],
        }
    }

    /// The inputs of that graph which its program reads.
    fn inputs(&self, kernel: Kernel, batch: usize) -> Vec<(&'static str, Shape)> {
        match kernel {
            Kernel::Forward => vec![("x", self.image(0, batch)), ("w", self.weight())],
            Kernel::DataGradient => vec![("dy", self.image(1, batch)), ("w", self.weight())],
            Kernel::WeightGradient => vec![("x", self.image(0, batch))],
        }
    }
}

/// How often to measure, and for how long each time.
struct Effort {
    repeats: usize,
    seconds: f64,
}

/// Median and least seconds of one call of `run`, which takes a number of calls to make.
fn time(effort: &Effort, mut run: impl FnMut(usize) -> Result<(), EngineError>) -> Result<[f64; 2], EngineError> {
    let mut timed = |calls: usize| {
        let start = Instant::now();
        run(calls)?;
        Ok(start.elapsed().as_secs_f64() / calls as f64)
    };
    let enough = |seconds: f64| (effort.seconds / seconds).ceil().clamp(1.0, 4096.0) as usize;
    let calls = enough(timed(1)?);
    let calls = enough(timed(calls)?);
    let mut times = (0..effort.repeats).map(|_| timed(calls)).collect::<Result<Vec<f64>, EngineError>>()?;
    times.sort_by(f64::total_cmp);
    Ok([times[times.len() / 2], times[0]])
}

/// A full sine's worth of numbers, none of them so small that arithmetic slows down.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
}

/// GMAC/s of the product of an `m x k` and a `k x n` matrix by the library, its rows shared among so many threads.
fn sgemm([m, k, n]: [usize; 3], threads: usize, effort: &Effort) -> Result<f64, EngineError> {
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    let rows = m.div_ceil(threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let [median, _] = pool.install(|| {
        time(effort, |calls| {
            for _ in 0..calls {
                let parts = a.par_chunks(rows * k).zip(c.par_chunks_mut(rows * n));
                parts.for_each(|(a, c)| {
                    let (m, k_stride, n_stride) = (a.len() / k, k as isize, n as isize);
                    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                    // SAFETY: `a` has m rows of k numbers, `b` k rows of n, `c` m rows of n that nobody else has.
                    unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, k_stride, 1, b, n_stride, 1, 0.0, c, n_stride, 1) };
                });
            }
            std::hint::black_box(&mut c);
            Ok(())
        })
    })?;
    Ok((m * k * n) as f64 / median / 1e9)
}

/// A device, and something small to read back from it.
struct Bench {
    executor: Box<dyn Executor>,
    variables: Variables,
    mark: VarId,
}

impl Bench {
    fn kernel(&mut self, layer: &Layer, kernel: Kernel, batch: usize, effort: &Effort) -> Result<Row, EngineError> {
        let program = Program::compile(&layer.graph(kernel, batch)?, &self.variables)?;
        let together = if matches!(kernel, Kernel::WeightGradient) { WEIGHTS } else { 1 };
        let macs = program.macs() / together as u64;
        // Weight gradients share one op that fills in the gradient that arrives.
        assert!(program.labels().count() <= together + usize::from(together > 1), "the program does other work too");
        let id = self.executor.load(program)?;
        for (name, shape) in layer.inputs(kernel, batch) {
            self.executor.input(id, name, &numbers(shape.iter().product()))?;
        }
        let times = time(effort, |runs| {
            self.executor.run(id, runs)?;
            // Waits for the runs without copying their results.
            self.executor.read(&[Readback::Variable(self.mark)])?.wait()?;
            Ok(())
        });
        self.executor.unload(id);
        let [median, least] = times?.map(|seconds| seconds / together as f64);
        Ok(Row { macs, median, least })
    }
}

struct Row {
    macs: u64,
    /// Seconds.
    median: f64,
    least: f64,
}

fn main() -> Result<(), EngineError> {
    let options = Options::parse();
    let effort =
        if options.quick { Effort { repeats: 5, seconds: 0.03 } } else { Effort { repeats: 15, seconds: 0.1 } };
    let adapter = std::env::var("PKDGAN_BENCH_ADAPTER").ok();
    let executor: Box<dyn Executor> = match options.device {
        DeviceKind::Cpu => Box::new(Cpu::new()),
        DeviceKind::Gpu => Box::new(Gpu::open(&GpuOptions::default().adapter(adapter))?),
    };
    let device = executor.summary().to_string();
    let mut variables = Variables::new();
    let group = variables.group("mark");
    let mark = variables.add(group, "mark", [1; 4]);
    let mut bench = Bench { executor, variables, mark };
    let threads = rayon::current_num_threads();
    if options.json {
        println!("{}", json!({ "device": device, "threads": threads }));
    } else {
        println!("device: {device}; the library's products with {threads} threads\n");
        println!(
            "{:<28} {:>5}  {:<15} {:>8} {:>11} {:>11} {:>8} {:>8} {:>6}",
            "layer", "batch", "kernel", "MMAC", "median us", "least us", "GMAC/s", "library", "ratio"
        );
    }
    for layer in layers() {
        for batch in BATCHES {
            for which in [Kernel::Forward, Kernel::DataGradient, Kernel::WeightGradient] {
                if !format!("{} batch {batch} {}", layer.describe(), which.name()).contains(&options.only) {
                    continue;
                }
                let Row { macs, median, least } = bench.kernel(&layer, which, batch, &effort)?;
                let rate = macs as f64 / median / 1e9;
                let library = sgemm(layer.product(which, batch), threads, &effort)?;
                if options.json {
                    let row = json!({
                        "layer": layer.describe(), "batch": batch, "kernel": which.name(), "macs": macs,
                        "median_s": median, "least_s": least, "gmacs": rate, "library_gmacs": library, "ratio": rate / library,
                    });
                    println!("{row}");
                } else {
                    println!(
                        "{:<28} {batch:>5}  {:<15} {:>8.2} {:>11.1} {:>11.1} {rate:>8.2} {library:>8.2} {:>6.2}",
                        layer.describe(),
                        which.name(),
                        macs as f64 / 1e6,
                        1e6 * median,
                        1e6 * least,
                        rate / library
                    );
                }
            }
        }
    }
    Ok(())
}
