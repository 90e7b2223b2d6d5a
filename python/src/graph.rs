//! The engine's graphs, and the executors that run them. Tensors are numbers here; `pkdgan/graph.py` wraps them.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pkdgan::engine::{
    Activation, Cpu, EngineError, Executor, Gpu, Graph, Measure, Program, ProgramId, Readback, Statistics, Tensor,
    Variables, Window,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::shaped;
use crate::detached::{keeps_threads, long, same_process};
use crate::errors::exception;
use crate::options::{device_kind, gpu_options};

/// Most numbers of a tensor: as many as a buffer may hold.
const MAX_NUMBERS: usize = 1 << 29;

/// A graph, and what runs it.
#[pyclass(frozen, module = "pkdgan._pkdgan")]
pub(crate) struct RawGraph {
    graph: Mutex<Traced>,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Default)]
struct Traced {
    graph: Graph,
    tensors: Vec<Tensor>,
    inputs: Vec<(String, usize)>,
    outputs: Vec<(String, usize)>,
    /// Grows with each op and output.
    version: usize,
}

/// An executor, and the program that it holds of some version of the graph.
struct Loaded {
    device: String,
    adapter: Option<String>,
    executor: Box<dyn Executor>,
    program: Option<(usize, ProgramId)>,
}

impl Traced {
    fn tensor(&self, handle: usize) -> PyResult<Tensor> {
        let known = self.tensors.get(handle).copied();
        known.ok_or_else(|| PyValueError::new_err(format!("the graph has no tensor {handle}")))
    }

    fn keep(&mut self, tensor: Tensor) -> usize {
        self.version += 1;
        self.tensors.push(tensor);
        self.tensors.len() - 1
    }

    fn op(
        &mut self,
        inputs: &[usize],
        make: impl FnOnce(&mut Graph, &[Tensor]) -> Result<Tensor, EngineError>,
    ) -> PyResult<usize> {
        let inputs = inputs.iter().map(|&input| self.tensor(input)).collect::<PyResult<Vec<_>>>()?;
        let made = make(&mut self.graph, &inputs).map_err(|error| exception(&error))?;
        // What is refused stays on the tape, where nothing reads it.
        checked(&self.graph.shape(made))?;
        Ok(self.keep(made))
    }
}

/// Four lengths that a buffer may hold.
fn checked(shape: &[usize]) -> PyResult<[usize; 4]> {
    let shape: [usize; 4] = shape.try_into().map_err(|_| {
        PyValueError::new_err(format!("a shape is four lengths, (N, C, H, W); {shape:?} has {}", shape.len()))
    })?;
    let count = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
    match count {
        Some(0) => Err(PyValueError::new_err(format!("shape {shape:?} has no elements"))),
        Some(1..=MAX_NUMBERS) => Ok(shape),
        _ => Err(PyValueError::new_err(format!("shape {shape:?} has more than {MAX_NUMBERS} numbers"))),
    }
}

fn numbers<'a>(name: &str, array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<&'a [f32]> {
    array.as_slice().map_err(|_| PyTypeError::new_err(format!("{name} does not lie in C order")))
}

#[pymethods]
impl RawGraph {
    #[new]
    fn new() -> Self {
        Self { graph: Mutex::default(), loaded: Mutex::default() }
    }

    fn shape(&self, tensor: usize) -> PyResult<[usize; 4]> {
        let traced = self.traced();
        Ok(traced.graph.shape(traced.tensor(tensor)?))
    }

    fn scope(&self, scope: String) {
        self.traced().graph.scope(scope);
    }

    fn input(&self, name: String, shape: Vec<usize>) -> PyResult<usize> {
        let (shape, mut traced) = (checked(&shape)?, self.traced());
        if traced.inputs.iter().any(|(known, _)| *known == name) {
            return Err(PyValueError::new_err(format!("the graph has an input {name:?} already")));
        }
        let tensor = traced.graph.input(name.clone(), shape);
        let tensor = traced.keep(tensor);
        traced.inputs.push((name, tensor));
        Ok(tensor)
    }

    fn constant(&self, values: PyReadonlyArrayDyn<'_, f32>) -> PyResult<usize> {
        let shape = checked(values.shape())?;
        let values = numbers("the constant", &values)?;
        self.traced().op(&[], |graph, _| graph.constant(shape, values))
    }

    fn output(&self, name: String, tensor: usize) -> PyResult<()> {
        let mut traced = self.traced();
        if traced.outputs.iter().any(|(known, _)| *known == name) {
            return Err(PyValueError::new_err(format!("the graph has an output {name:?} already")));
        }
        let made = traced.tensor(tensor)?;
        traced.graph.output(name.clone(), made);
        traced.outputs.push((name, tensor));
        traced.version += 1;
        Ok(())
    }

    fn detach(&self, x: usize) -> PyResult<usize> {
        self.traced().op(&[x], |graph, x| Ok(graph.detach(x[0])))
    }

    fn add(&self, a: usize, b: usize) -> PyResult<usize> {
        self.traced().op(&[a, b], |graph, x| graph.add(x[0], x[1]))
    }

    fn sub(&self, a: usize, b: usize) -> PyResult<usize> {
        self.traced().op(&[a, b], |graph, x| graph.sub(x[0], x[1]))
    }

    fn scale(&self, x: usize, factor: f32) -> PyResult<usize> {
        self.traced().op(&[x], |graph, x| graph.scale(x[0], factor))
    }

    fn sum(&self, x: usize) -> PyResult<usize> {
        self.traced().op(&[x], |graph, x| graph.sum(x[0]))
    }

    fn mean(&self, x: usize) -> PyResult<usize> {
        self.traced().op(&[x], |graph, x| graph.mean(x[0]))
    }

    fn activation(&self, x: usize, name: &str, slope: f32) -> PyResult<usize> {
        let activation = match name {
            "relu" => Activation::Relu,
            "leaky_relu" => Activation::LeakyRelu(slope),
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            name => return Err(PyValueError::new_err(format!("there is no activation {name:?}"))),
        };
        self.traced().op(&[x], |graph, x| graph.activation(x[0], activation))
    }

    fn conv2d(
        &self,
        x: usize,
        weight: usize,
        bias: Option<usize>,
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> PyResult<usize> {
        let inputs: Vec<usize> = [x, weight].into_iter().chain(bias).collect();
        let window = Window { stride, padding };
        self.traced().op(&inputs, |graph, x| graph.conv2d(x[0], x[1], x.get(2).copied(), window))
    }

    fn conv_transpose2d(
        &self,
        x: usize,
        weight: usize,
        bias: Option<usize>,
        stride: [usize; 2],
        padding: [usize; 2],
        output_padding: [usize; 2],
    ) -> PyResult<usize> {
        let inputs: Vec<usize> = [x, weight].into_iter().chain(bias).collect();
        let window = Window { stride, padding };
        let make = |graph: &mut Graph, x: &[Tensor]| {
            graph.conv_transpose2d(x[0], x[1], x.get(2).copied(), window, output_padding)
        };
        self.traced().op(&inputs, make)
    }

    fn batch_norm(
        &self,
        x: usize,
        scale: usize,
        shift: usize,
        fixed: Option<usize>,
        sets: usize,
        epsilon: f32,
    ) -> PyResult<usize> {
        let inputs: Vec<usize> = [x, scale, shift].into_iter().chain(fixed).collect();
        self.traced().op(&inputs, |graph, x| {
            let batch = Statistics::Batch { sets, running: None };
            let statistics = x.get(3).map_or(batch, |&fixed| Statistics::Fixed(fixed));
            graph.batch_norm(x[0], x[1], x[2], statistics, epsilon)
        })
    }

    fn batch_concat(&self, a: usize, b: usize) -> PyResult<usize> {
        self.traced().op(&[a, b], |graph, x| graph.batch_concat(x[0], x[1]))
    }

    fn bce_with_logits(&self, logits: usize, targets: usize) -> PyResult<usize> {
        self.traced().op(&[logits, targets], |graph, x| graph.bce_with_logits(x[0], x[1]))
    }

    fn distance(&self, a: usize, b: usize, measure: &str) -> PyResult<usize> {
        let measure = match measure {
            "l1" => Measure::L1,
            "mean_squared" => Measure::MeanSquared,
            "l2" => Measure::L2,
            name => {
                let text = format!("there is no measure {name:?}; there are l1, mean_squared, l2");
                return Err(PyValueError::new_err(text));
            }
        };
        self.traced().op(&[a, b], |graph, x| graph.distance(x[0], x[1], measure))
    }

    fn unit_rms(&self, x: usize) -> PyResult<usize> {
        self.traced().op(&[x], |graph, x| graph.unit_rms(x[0]))
    }

    fn gradients(&self, loss: usize, wrt: Vec<usize>) -> PyResult<Vec<usize>> {
        let mut traced = self.traced();
        let (loss, wrt) = (traced.tensor(loss)?, wrt.iter().map(|&x| traced.tensor(x)).collect::<PyResult<Vec<_>>>()?);
        // A graph that was walked in part is no longer the one that it was.
        let mut graph = traced.graph.clone();
        let gradients = graph.gradients(loss, &wrt).map_err(|error| exception(&error))?;
        traced.graph = graph;
        Ok(gradients.into_iter().map(|gradient| traced.keep(gradient)).collect())
    }

    /// Runs the graph once: the outputs, in the order that they were named in.
    fn run<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<(String, PyReadonlyArrayDyn<'py, f32>)>,
        device: &str,
        adapter: Option<String>,
    ) -> PyResult<Vec<(String, Bound<'py, PyArrayDyn<f32>>)>> {
        let (outputs, shapes) = {
            let traced = self.traced();
            for (name, array) in &inputs {
                let known = traced.inputs.iter().find(|(known, _)| known == name);
                let &(_, tensor) = known.ok_or_else(|| {
                    PyValueError::new_err(format!("the graph has no input {name:?}; it has {}", names(&traced.inputs)))
                })?;
                let wanted = traced.graph.shape(traced.tensor(tensor)?);
                if array.shape() != wanted {
                    let text = format!("input {name:?} has shape {:?}; the graph wants {wanted:?}", array.shape());
                    return Err(PyValueError::new_err(text));
                }
            }
            if let Some((name, _)) =
                traced.inputs.iter().find(|(name, _)| inputs.iter().all(|(given, _)| given != name))
            {
                return Err(PyValueError::new_err(format!("input {name:?} has no values")));
            }
            if traced.outputs.is_empty() {
                return Err(PyValueError::new_err("the graph has no outputs; name some with output()"));
            }
            let outputs: Vec<String> = traced.outputs.iter().map(|(name, _)| name.clone()).collect();
            let shape = |&(_, tensor): &(String, usize)| Ok(traced.graph.shape(traced.tensor(tensor)?));
            (outputs, traced.outputs.iter().map(shape).collect::<PyResult<Vec<_>>>()?)
        };
        let given = inputs.iter().map(|(name, array)| Ok((name.as_str(), numbers(name, array)?)));
        let given: Vec<(&str, &[f32])> = given.collect::<PyResult<_>>()?;
        device_kind(device)?;
        same_process()?;
        keeps_threads();
        let work = |_: &_, _: &Sender<()>| self.computed(&given, &outputs, device, adapter);
        let values = long(py, work, |_, ()| Ok(()))?.map_err(|error| exception(&error))?;
        let arrays = outputs.into_iter().zip(values).zip(shapes);
        arrays.map(|((name, values), shape)| Ok((name, shaped(py, values, shape)?.to_dyn().clone()))).collect()
    }
}

impl RawGraph {
    fn traced(&self) -> MutexGuard<'_, Traced> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn computed(
        &self,
        inputs: &[(&str, &[f32])],
        outputs: &[String],
        device: &str,
        adapter: Option<String>,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // What fails is not used again: a device that is lost stays so.
        let mut held = match loaded.take().filter(|held| held.device == device && held.adapter == adapter) {
            Some(held) => held,
            None => {
                let executor: Box<dyn Executor> = match (device, &adapter) {
                    ("cpu", _) => Box::new(Cpu::new()),
                    _ => Box::new(Gpu::open(&gpu_options(adapter.clone()))?),
                };
                Loaded { device: device.to_owned(), adapter, executor, program: None }
            }
        };
        let (version, graph) = {
            let traced = self.traced();
            (traced.version, traced.graph.clone())
        };
        let program = match held.program {
            Some((known, program)) if known == version => program,
            other => {
                if let Some((_, old)) = other {
                    held.executor.unload(old);
                }
                held.executor.load(Program::compile(&graph, &Variables::new())?)?
            }
        };
        held.program = Some((version, program));
        for (name, values) in inputs {
            held.executor.input(program, name, values)?;
        }
        let wanted: Vec<Readback> = outputs.iter().map(|name| Readback::Output(program, name)).collect();
        let values = held.executor.run_and_read(program, &wanted)?.wait()?;
        *loaded = Some(held);
        Ok(values)
    }
}

fn names(named: &[(String, usize)]) -> String {
    if named.is_empty() {
        return "none".into();
    }
    named.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
