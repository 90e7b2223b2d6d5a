//! Weight files: named tensors in the safetensors format, single-precision numbers in memory.

mod error;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Serialize;

use crate::run::{WriteError, write_whole};

pub use error::WeightsError;

/// Largest header and largest file that are read, in bytes.
const MAX_HEADER: u64 = 100_000_000;
const MAX_FILE: u64 = 1 << 32;
/// Key of the header that holds text instead of a tensor.
const METADATA: &str = "__metadata__";

/// A tensor of any rank.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensor {
    /// Length of each dimension, outermost first; none for a single number.
    pub shape: Vec<usize>,
    /// The values, the last dimension running fastest; as many as the product of `shape`.
    pub values: Vec<f32>,
    /// What a value is in a file.
    pub element: Element,
}

/// A type of number that weight files are written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Element {
    /// Single precision.
    #[default]
    F32,
    /// Half precision: 11 significant bits, up to 65,504.
    F16,
}

/// Named tensors, with text about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// Text by key, such as the version that wrote the file.
    pub metadata: BTreeMap<String, String>,
    /// The file that these weights were read from, for messages; empty where there is none.
    pub origin: PathBuf,
}

/// A value of the header's JSON object.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor(TensorInfo),
}

impl Weights {
    /// Adds a tensor of F32, in place of one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) {
        self.tensors.insert(name.into(), Tensor { shape: shape.to_vec(), values, element: Element::F32 });
    }

    /// Writes the file whole, values of F16 tensors rounded to the nearest. The same tensors and metadata give the same
    /// bytes.
    ///
    /// # Errors
    /// A tensor whose values do not fill its shape or are too large for F16, and a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        let header = self.header(path)?;
        Ok(write_whole(path, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            self.tensors.values().try_for_each(|Tensor { values, element, .. }| match element {
                Element::F32 => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
                Element::F16 => values.iter().try_for_each(|&value| out.write_all(&f16::from_f32(value).to_le_bytes())),
            })
        })?)
    }

    /// Reads a file of F32, F16 or BF16 tensors. BF16 becomes F32. The header is checked against the size
    /// of the file before any tensor is given memory.
    ///
    /// # Errors
    /// A file that cannot be read, is cut short, damaged or foreign, or has tensors of another type.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let failed = |source| WeightsError::Read { path: path.to_owned(), source };
        let damaged = |message: &str| WeightsError::Damaged { path: path.to_owned(), message: message.to_owned() };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut input = BufReader::new(file);

        let mut length = [0; 8];
        input.read_exact(&mut length).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("byte 0: too short for a header"),
            _ => failed(error),
        })?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length > size.saturating_sub(8) || size > MAX_FILE {
            return Err(damaged(&format!("byte 0: a header of {length} bytes in a file of {size}")));
        }
        let mut header = vec![0; length as usize];
        input.read_exact(&mut header).map_err(failed)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(&format!("header at byte 8: {error}")))?;
        if header.data_len() as u64 != size - 8 - length {
            let expected = (header.data_len() as u64).saturating_add(8 + length);
            return Err(damaged(&format!("byte {size}: the file ends, but its header calls for {expected} bytes")));
        }

        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut weights = Self { tensors: BTreeMap::new(), metadata, origin: path.to_owned() };
        for name in header.offset_keys() {
            let info = header.info(&name).ok_or_else(|| damaged("header at byte 8: a tensor without a place"))?;
            let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
            input.read_exact(&mut bytes).map_err(failed)?;
            let values = widen(&bytes, info.dtype).ok_or_else(|| WeightsError::ElementType {
                path: path.to_owned(),
                name: name.clone(),
                dtype: info.dtype,
            })?;
            let element = if info.dtype == Dtype::F16 { Element::F16 } else { Element::F32 };
            weights.tensors.insert(name, Tensor { shape: info.shape.clone(), values, element });
        }
        Ok(weights)
    }

    /// Takes out the values of tensor `name`, which must have the given shape.
    ///
    /// # Errors
    /// No such tensor (or it was taken before), or one of another shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        match self.tensors.remove(name) {
            Some(tensor) if tensor.shape == shape => Ok(tensor.values),
            Some(tensor) => Err(WeightsError::Shape {
                path: self.origin.clone(),
                name: name.to_owned(),
                found: tensor.shape,
                wanted: shape.to_vec(),
            }),
            None => Err(WeightsError::Missing { path: self.origin.clone(), name: name.to_owned() }),
        }
    }

    /// Ends the taking: every tensor must have been taken.
    ///
    /// # Errors
    /// Tensors left over, all of which are named.
    pub fn finish(self) -> Result<(), WeightsError> {
        if self.tensors.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Unused { path: self.origin, names: self.tensors.into_keys().collect() })
    }

    /// The header's JSON, keys in order, padded with blanks to a multiple of 8 bytes.
    fn header(&self, path: &Path) -> Result<Vec<u8>, WeightsError> {
        let mut entries = BTreeMap::new();
        if !self.metadata.is_empty() {
            entries.insert(METADATA, Entry::Metadata(&self.metadata));
        }
        let mut start = 0;
        for (name, Tensor { shape, values, element }) in &self.tensors {
            let places = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
            if places != Some(values.len()) || name == METADATA {
                let shape = shape.clone();
                return Err(WeightsError::Malformed { name: name.clone(), shape, values: values.len() });
            }
            let (dtype, bytes) = match element {
                Element::F32 => (Dtype::F32, 4),
                Element::F16 => (Dtype::F16, 2),
            };
            let overflows = |value: &&f32| value.is_finite() && f16::from_f32(**value).is_infinite();
            if let Some(&value) = values.iter().find(overflows).filter(|_| *element == Element::F16) {
                return Err(WeightsError::Overflow { name: name.clone(), value });
            }
            let end = start + bytes * values.len();
            let info = TensorInfo { dtype, shape: shape.clone(), data_offsets: (start, end) };
            entries.insert(name, Entry::Tensor(info));
            start = end;
        }
        let mut header =
            serde_json::to_vec(&entries).map_err(|error| WriteError { path: path.to_owned(), source: error.into() })?;
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(header)
    }
}

/// Little-endian numbers of type `dtype` as F32; `None` for types other than F32, F16 and BF16.
fn widen(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let pairs = bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    Some(match dtype {
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
        }
        Dtype::F16 => pairs.map(|pair| f16::from_le_bytes(pair).to_f32()).collect(),
        Dtype::BF16 => pairs.map(|pair| bf16::from_le_bytes(pair).to_f32()).collect(),
        _ => return None,
    })
}
