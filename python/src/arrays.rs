//! NumPy arrays in and out. None is copied on the way.

use numpy::ndarray::IntoDimension;
use numpy::{Element, PyArray, PyArray1, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pkdgan::unstable::stream::PixelArray;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Pictures as Python hands them over: bytes `[count, height, width, values]`, in C order, and whether values are of two
/// bytes, so that the last dimension has twice as many.
pub(crate) type Pixels<'py> = (PyReadonlyArrayDyn<'py, u8>, bool);

/// The pictures of arrays.
pub(crate) fn pixel_arrays<'a>(arrays: &'a [Pixels<'_>]) -> PyResult<Vec<PixelArray<'a>>> {
    let view = |(array, wide): &'a Pixels| {
        let bytes = array.as_slice().map_err(|_| PyValueError::new_err("the pixels do not lie in C order"))?;
        let &[count, height, width, values] = array.shape() else {
            return Err(PyValueError::new_err("the pixels have not four dimensions"));
        };
        let values = values / (1 + usize::from(*wide));
        PixelArray::new(bytes, [count, height, width, values], *wide).map_err(|error| crate::errors::exception(&error))
    };
    arrays.iter().map(view).collect()
}

/// Numbers as an array of a shape that they fill.
pub(crate) fn shaped<'py, T: Element, S: IntoDimension>(
    py: Python<'py>,
    numbers: Vec<T>,
    shape: S,
) -> PyResult<Bound<'py, PyArray<T, S::Dim>>> {
    PyArray1::from_vec(py, numbers).reshape(shape)
}
