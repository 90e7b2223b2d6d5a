//! The compiled half of the Python package `pkdgan`: models, training and the engine, with numbers and arrays in and out.
//! What Python programs see of it is `pkdgan/*.py`, which checks types and documents.

mod arrays;
mod detached;
mod detector;
mod errors;
mod graph;
mod options;
mod training;

use pyo3::prelude::*;

/// The module `pkdgan._pkdgan`.
#[pymodule]
fn _pkdgan(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", pkdgan::unstable::version::VERSION_AND_BUILD)?;
    module.add("DeviceError", py.get_type::<errors::DeviceError>())?;
    module.add("InternalError", py.get_type::<errors::InternalError>())?;
    module.add_class::<detector::RawDetector>()?;
    module.add_class::<graph::RawGraph>()?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(options::adapters, module)?)?;
    module.add_function(wrap_pyfunction!(detached::panic_on_purpose, module)?)
}
