//! Weight files: what is written is read, and nothing foreign or damaged is taken.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pkdgan::unstable::weights::{Element, Weights, WeightsError};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A folder for one file.
fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("w.safetensors");
    (folder, path)
}

fn small() -> Weights {
    let mut weights = Weights::default();
    weights.insert("e1.conv0.weight", &[1, 2], vec![1.5, -2.0]);
    weights.insert("e1.conv0.bias", &[], vec![f32::MIN_POSITIVE]);
    weights.insert("empty", &[0, 3], vec![]);
    for key in ["version", "dataset", "a", "b", "c", "d", "e"] {
        weights.metadata.insert(key.into(), format!("{key} \"of\" it"));
    }
    weights
}

fn bytes_of(weights: &Weights) -> Vec<u8> {
    let (_folder, path) = place();
    weights.write(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn read(bytes: &[u8]) -> Result<Weights, WeightsError> {
    let (_folder, path) = place();
    std::fs::write(&path, bytes).unwrap();
    let result = Weights::read(&path);
    if let Err(error) = &result {
        let line = error.to_string();
        assert!(line.contains("w.safetensors") && !line.contains('\n'), "{line}");
    }
    result
}

/// A file with the given header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn what_is_written_is_read() {
    let (_folder, path) = place();
    let weights = small();
    weights.write(&path).unwrap();
    let read = Weights::read(&path).unwrap();
    assert_eq!((&read.tensors, &read.metadata, &read.origin), (&weights.tensors, &weights.metadata, &path));
}

#[test]
fn the_bytes_are_the_same_every_time_and_as_the_format_says() {
    let mut weights = Weights::default();
    weights.insert("b", &[2], vec![1.0, -2.0]);
    weights.insert("a", &[1, 1], vec![0.5]);
    weights.metadata.insert("k".into(), "v".into());
    let header = |checksum: &str| {
        let tensors = concat!(
            r#""a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"#,
            r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#
        );
        format!(r#"{{"__metadata__":{{"k":"v"{checksum}}},{tensors}}}"#)
    };
    let data: Vec<u8> = [0.5_f32, 1.0, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let sum = Sha256::digest([header("").as_bytes(), &data].concat());
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut header = header(&format!(r#","sha256":"{sum}""#));
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    assert_eq!(bytes_of(&weights), file(&header, &data));
    assert_eq!(bytes_of(&small()), bytes_of(&small()));
}

#[test]
fn the_official_reader_takes_the_file() {
    let bytes = bytes_of(&small());
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("e1.conv0.weight").unwrap().shape(), [1, 2]);
    assert_eq!(tensors.tensor("e1.conv0.weight").unwrap().data(), [1.5_f32, -2.0].map(f32::to_le_bytes).concat());
    assert_eq!(tensors.len(), 3);
}

#[test]
fn half_precision_is_widened() {
    // Origin: Python's safetensors writing [1, -2.5] as float16 and [[0.5]] as float32.
    let header = concat!(
        r#"{"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"#,
        r#""a":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}  "#
    );
    let mut weights = read(&file(header, b"\x00\x00\x00?\x00<\x00\xc1")).unwrap();
    assert_eq!(weights.take("a", &[2]).unwrap(), [1.0, -2.5]);
    assert_eq!(weights.take("b", &[1, 1]).unwrap(), [0.5]);
    assert_eq!(weights.metadata, BTreeMap::from([("k".into(), "v".into())]));
    let header = r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#;
    assert_eq!(read(&file(header, &[0x80, 0x3f, 0x20, 0xc0])).unwrap().take("a", &[2]).unwrap(), [1.0, -2.5]);
}

#[test]
fn half_precision_is_written_as_it_was_read() {
    let mut weights = small();
    weights.insert("half", &[3], vec![1.0, 0.1, 65_504.0]);
    weights.tensors.get_mut("half").unwrap().element = Element::F16;
    let bytes = bytes_of(&weights);
    let official = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(official.tensor("half").unwrap().dtype(), safetensors::Dtype::F16);
    assert_eq!(official.tensor("half").unwrap().data(), [0, 0x3c, 0x66, 0x2e, 0xff, 0x7b]);
    let read = read(&bytes).unwrap();
    assert_eq!(read.tensors["half"].values, [1.0, 0.099_975_586, 65_504.0]);
    assert_eq!(read.tensors["e1.conv0.weight"], weights.tensors["e1.conv0.weight"]);
    assert_eq!(bytes_of(&read), bytes);

    weights.tensors.get_mut("half").unwrap().values[1] = 65_520.0;
    let (_folder, path) = place();
    let error = weights.write(&path).unwrap_err();
    assert!(matches!(&error, WeightsError::Overflow { name, .. } if name == "half"), "{error}");
    assert!(!path.exists());
}

#[test]
fn other_element_types_are_refused() {
    let error = read(&file(r#"{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4])).unwrap_err();
    assert!(matches!(&error, WeightsError::ElementType { name, .. } if name == "a"));
    assert!(error.to_string().contains("I32"), "{error}");
}

#[test]
fn taking_checks_name_and_shape_and_leaves_nothing() {
    let mut weights = read(&bytes_of(&small())).unwrap();
    assert_eq!(weights.take("e1.conv0.weight", &[1, 2]).unwrap(), [1.5, -2.0]);
    let again = weights.take("e1.conv0.weight", &[1, 2]).unwrap_err().to_string();
    assert!(again.contains("no tensor `e1.conv0.weight`") && again.contains("w.safetensors"), "{again}");
    let shape = weights.take("e1.conv0.bias", &[1]).unwrap_err().to_string();
    assert!(shape.contains("[]") && shape.contains("[1]"), "{shape}");
    let unused = weights.finish().unwrap_err().to_string();
    assert!(unused.contains("empty") && unused.contains("w.safetensors"), "{unused}");
    Weights::default().finish().unwrap();
}

#[test]
fn tensors_that_do_not_fill_their_shape_are_not_written() {
    for (name, shape, values) in [("a", &[2, 2][..], 3), ("__metadata__", &[1], 1), ("a", &[usize::MAX, 2], 1)] {
        let (_folder, path) = place();
        let mut weights = Weights::default();
        weights.insert(name, shape, vec![0.0; values]);
        assert!(matches!(weights.write(&path), Err(WeightsError::Malformed { .. })), "{name} {shape:?}");
        assert!(!path.exists());
    }
}

#[test]
fn every_truncation_and_any_addition_is_refused() {
    let bytes = bytes_of(&small());
    for length in 0..bytes.len() {
        assert!(matches!(read(&bytes[..length]), Err(WeightsError::Damaged { .. })), "{length} of {}", bytes.len());
    }
    assert!(matches!(read(&[&bytes[..], &[0]].concat()), Err(WeightsError::Damaged { .. })));
}

#[test]
fn foreign_headers_are_refused() {
    for header in [
        "no json",
        "[]",
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#,
    ] {
        assert!(matches!(read(&file(header, &[0; 8])), Err(WeightsError::Damaged { .. })), "{header}");
    }
    let (_folder, path) = place();
    assert!(matches!(Weights::read(&path), Err(WeightsError::Read { .. })));
}

proptest! {
    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..6)) {
        let mut bytes = bytes_of(&small());
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if let Ok(weights) = read(&bytes) {
            for tensor in weights.tensors.values() {
                prop_assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
            }
        }
    }

    #[test]
    fn every_bit_pattern_survives(bits in prop::collection::vec(any::<u32>(), 0..50)) {
        let mut weights = Weights::default();
        weights.insert("t", &[bits.len()], bits.iter().copied().map(f32::from_bits).collect());
        let values = read(&bytes_of(&weights)).unwrap().take("t", &[bits.len()]).unwrap();
        prop_assert_eq!(values.into_iter().map(f32::to_bits).collect::<Vec<_>>(), bits);
    }
}
