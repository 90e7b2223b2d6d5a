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
use sha2::{Digest, Sha256};

use crate::data::hex;
use crate::format;
use crate::message::shortened;
use crate::run::{Given, WriteError, write_whole, write_whole_keeping};

pub use error::WeightsError;

/// Largest header that is read, in bytes: the names and shapes of some ten thousand tensors.
const MAX_HEADER: u64 = 1 << 22;
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 32;
/// Key of the header that holds text instead of a tensor.
const METADATA: &str = "__metadata__";
/// Key of the metadata for the SHA-256, in hexadecimal, of the header without this key and of the tensors' bytes.
const CHECKSUM: &str = "sha256";

/// Key of the metadata for the format of what the tensors are: a name, `-` and a version.
const FORMAT: &str = "format";

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

    /// Writes the file whole, with a checksum in its metadata, values of F16 tensors rounded to the nearest. The same
    /// tensors and metadata give the same bytes.
    ///
    /// # Errors
    /// A tensor whose values do not fill its shape or are too large for F16, and a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        let [header, data] = self.encode(path)?;
        Ok(write_whole(path, |out| out.write_all(&header).and_then(|()| out.write_all(&data)))?)
    }

    /// As [`Weights::write`], to where a command was told to write.
    ///
    /// # Errors
    /// As those of [`Weights::write`].
    pub fn write_given(&self, given: &Given) -> Result<(), WeightsError> {
        let [header, data] = self.encode(&self.origin)?;
        Ok(given.write(|out| out.write_all(&header).and_then(|()| out.write_all(&data)))?)
    }

    /// As [`Weights::write`], but the file that was there stays as `before`, in the same folder.
    ///
    /// # Errors
    /// As those of [`Weights::write`].
    pub fn write_keeping(&self, path: &Path, before: &Path) -> Result<(), WeightsError> {
        let [header, data] = self.encode(path)?;
        Ok(write_whole_keeping(path, before, |out| out.write_all(&header).and_then(|()| out.write_all(&data)))?)
    }

    /// Reads a file of F32, F16 or BF16 tensors. BF16 becomes F32. The header is checked against the size of the file
    /// before any tensor is given memory, and everything against the checksum where there is one.
    ///
    /// # Errors
    /// A file that cannot be read, is cut short, damaged or foreign, or has tensors of another type.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        Self::read_at_most(path, |_| Ok(MAX_FILE))
    }

    /// As [`Weights::read`], but before any tensor is read, `most` says by the metadata how many bytes all of them may
    /// take.
    ///
    /// # Errors
    /// As those of [`Weights::read`] and of `most`, and more bytes than that.
    pub(crate) fn read_at_most(
        path: &Path,
        most: impl FnOnce(&Self) -> Result<u64, WeightsError>,
    ) -> Result<Self, WeightsError> {
        let (input, size) = open(path)?;
        Self::parse(input, size, path, most)
    }

    /// As [`Weights::read_at_most`], of a file whose bytes are in memory; `path` names it.
    ///
    /// # Errors
    /// As those of [`Weights::read_at_most`].
    pub(crate) fn of_bytes(
        bytes: &[u8],
        path: &Path,
        most: impl FnOnce(&Self) -> Result<u64, WeightsError>,
    ) -> Result<Self, WeightsError> {
        Self::parse(bytes, Some(bytes.len() as u64), path, most)
    }

    /// As [`Weights::read_at_most`], with the bytes of the file. It is read once, for it may be a pipe.
    ///
    /// # Errors
    /// As those of [`Weights::read_at_most`].
    pub(crate) fn read_with_bytes(
        path: &Path,
        most: impl FnOnce(&Self) -> Result<u64, WeightsError>,
    ) -> Result<(Self, Vec<u8>), WeightsError> {
        let (input, size) = open(path)?;
        let mut input = Kept { input, bytes: Vec::new() };
        let weights = Self::parse(&mut input, size, path, most)?;
        Ok((weights, input.bytes))
    }

    /// Reads the contents of the file `path`, of `size` bytes where that is known.
    fn parse(
        mut input: impl Read,
        size: Option<u64>,
        path: &Path,
        most: impl FnOnce(&Self) -> Result<u64, WeightsError>,
    ) -> Result<Self, WeightsError> {
        let failed = |source| WeightsError::Read { path: path.to_owned(), source };
        let damaged = |message: &str| WeightsError::Damaged { path: path.to_owned(), message: message.to_owned() };
        let mut take = |count: u64| -> Result<Vec<u8>, WeightsError> {
            let mut bytes = Vec::with_capacity(if size.is_some() { count as usize } else { 0 });
            input.by_ref().take(count).read_to_end(&mut bytes).map_err(failed)?;
            Ok(bytes)
        };

        let length = take(8)?;
        let length = <[u8; 8]>::try_from(length).map_err(|_| damaged("byte 0: too short for a header"))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || size.is_some_and(|size| length > size.saturating_sub(8) || size > MAX_FILE) {
            let size = size.map_or_else(String::new, |size| format!(" in a file of {size}"));
            return Err(damaged(&format!("byte 0: a header of {length} bytes{size}")));
        }
        let header = take(length)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(&format!("header at byte 8: {error}")))?;
        let end = (header.data_len() as u64).saturating_add(8 + length);
        let ends = |at: u64| damaged(&format!("byte {at}: the file ends, but its header calls for {end} bytes"));
        if size.is_some_and(|size| size != end) || end > MAX_FILE {
            return Err(ends(size.unwrap_or(MAX_FILE)));
        }

        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut weights = Self { tensors: BTreeMap::new(), metadata, origin: path.to_owned() };
        let checksum = weights.metadata.remove(CHECKSUM);
        let most = most(&weights)?;
        if header.data_len() as u64 > most {
            let found = header.data_len();
            return Err(damaged(&format!("header at byte 8: tensors of {found} bytes; by its metadata it has {most}")));
        }
        let mut sum = Sha256::new();
        if checksum.is_some() {
            let infos = header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
            sum.update(header_text(&weights.metadata, infos).map_err(|error| failed(error.into()))?);
        }
        for name in header.offset_keys() {
            let info = header.info(&name).ok_or_else(|| damaged("header at byte 8: a tensor without a place"))?;
            let len = info.data_offsets.1 - info.data_offsets.0;
            let bytes = take(len as u64)?;
            if bytes.len() < len {
                return Err(ends(8 + length + (info.data_offsets.0 + bytes.len()) as u64));
            }
            if checksum.is_some() {
                sum.update(&bytes);
            }
            let values = widen(&bytes, info.dtype).ok_or_else(|| WeightsError::ElementType {
                path: path.to_owned(),
                name: name.clone(),
                dtype: info.dtype,
            })?;
            let element = if info.dtype == Dtype::F16 { Element::F16 } else { Element::F32 };
            weights.tensors.insert(name, Tensor { shape: info.shape.clone(), values, element });
        }
        if !take(1)?.is_empty() {
            return Err(damaged(&format!("byte {end}: the file goes on behind its tensors")));
        }
        match checksum {
            Some(checksum) if checksum != hex(&sum.finalize()) => {
                Err(damaged(&format!("metadata `{CHECKSUM}`: that is not the checksum of what is in the file")))
            }
            _ => Ok(weights),
        }
    }

    /// Says in the metadata that this is version `version` of the format `name`.
    pub(crate) fn set_format(&mut self, name: &str, version: u64) {
        self.metadata.insert(FORMAT.into(), format!("{name}-{version}"));
    }

    /// Refuses what is of a newer version of the format `name` than `known`. What says no format, or another than this
    /// program's, passes: tensors of the right names may come from any program.
    ///
    /// # Errors
    /// A newer version, and one that is no number.
    pub(crate) fn check_format(&self, name: &str, known: u64) -> Result<(), WeightsError> {
        let said = self.metadata.get(FORMAT).and_then(|text| text.strip_prefix(name)?.strip_prefix('-'));
        let Some(version) = said else { return Ok(()) };
        let version = version.parse().map_err(|_| WeightsError::Damaged {
            path: self.origin.clone(),
            message: format!("metadata `{FORMAT}`: `{}` is no version", shortened(version)),
        })?;
        Ok(format::check(&self.origin, version, known)?)
    }

    /// Refuses what says no version of the format `name` up to `known`.
    ///
    /// # Errors
    /// No format, another one, and a newer version.
    pub(crate) fn expect_format(&self, name: &str, known: u64) -> Result<(), WeightsError> {
        self.check_format(name, known)?;
        let damaged = |message| Err(WeightsError::Damaged { path: self.origin.clone(), message });
        match self.metadata.get(FORMAT) {
            None => damaged(format!("no `{FORMAT}` in its metadata; a model file says `{name}-{known}`")),
            Some(said) if (1..=known).all(|version| *said != format!("{name}-{version}")) => {
                damaged(format!("metadata `{FORMAT}`: `{}`; a model file says `{name}-{known}`", shortened(said)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Refuses numbers that are infinite or NaN.
    ///
    /// # Errors
    /// [`WeightsError::NotFinite`] names the first tensor with one.
    pub fn expect_finite(&self) -> Result<(), WeightsError> {
        let found = self.tensors.iter().find_map(|(name, tensor)| {
            let value = tensor.values.iter().find(|value| !value.is_finite())?;
            Some((name.clone(), *value))
        });
        match found {
            Some((name, value)) => Err(WeightsError::NotFinite { path: self.origin.clone(), name, value }),
            None => Ok(()),
        }
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

    /// The header, behind its length and padded with blanks to a multiple of 8 bytes, and the tensors' bytes of the file
    /// that is to be `path`.
    fn encode(&self, path: &Path) -> Result<[Vec<u8>; 2], WeightsError> {
        let failed = |error: serde_json::Error| WriteError { path: path.to_owned(), source: error.into() };
        let mut infos = BTreeMap::new();
        let mut data = Vec::new();
        for (name, Tensor { shape, values, element }) in &self.tensors {
            let places = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
            if places != Some(values.len()) || name == METADATA {
                let shape = shape.clone();
                return Err(WeightsError::Malformed { name: name.clone(), shape, values: values.len() });
            }
            let start = data.len();
            let dtype = match element {
                Element::F32 => {
                    data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                    Dtype::F32
                }
                Element::F16 => {
                    let overflows = |value: &&f32| value.is_finite() && f16::from_f32(**value).is_infinite();
                    if let Some(&value) = values.iter().find(overflows) {
                        return Err(WeightsError::Overflow { name: name.clone(), value });
                    }
                    data.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()));
                    Dtype::F16
                }
            };
            let info = TensorInfo { dtype, shape: shape.clone(), data_offsets: (start, data.len()) };
            infos.insert(name.clone(), info);
        }
        let mut metadata = self.metadata.clone();
        metadata.remove(CHECKSUM);
        let sum = Sha256::new_with_prefix(header_text(&metadata, infos.clone()).map_err(failed)?).chain_update(&data);
        metadata.insert(CHECKSUM.into(), hex(&sum.finalize()));
        let mut text = header_text(&metadata, infos).map_err(failed)?;
        text.resize(text.len().next_multiple_of(8), b' ');
        Ok([[&(text.len() as u64).to_le_bytes(), text.as_slice()].concat(), data])
    }
}

/// Opens a file; with it comes how many bytes it has, where that is known.
fn open(path: &Path) -> Result<(BufReader<File>, Option<u64>), WeightsError> {
    let failed = |source| WeightsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let there = file.metadata().map_err(failed)?;
    // A pipe does not say how much comes, and some file systems say 0 of every file.
    Ok((BufReader::new(file), Some(there.len()).filter(|&size| there.is_file() && size > 0)))
}

/// Keeps what is read.
struct Kept<R> {
    input: R,
    bytes: Vec<u8>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// The header's JSON, keys in order.
fn header_text(
    metadata: &BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
) -> serde_json::Result<Vec<u8>> {
    let mut entries: BTreeMap<String, Entry> =
        tensors.into_iter().map(|(name, info)| (name, Entry::Tensor(info))).collect();
    if !metadata.is_empty() {
        entries.insert(METADATA.into(), Entry::Metadata(metadata));
    }
    serde_json::to_vec(&entries)
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
