//! Exports of model files that were tampered with: what is exported is a whole graph, and what is not is refused in a
//! line. Inputs as those of `model_file`.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use pkdgan::model::ModelFile;
use pkdgan::unstable::export::schema::{ElementKind, Model};
use pkdgan::unstable::export::{ExportError, check_scores, in_half, onnx};
use prost::Message;

/// Multiply-accumulates that are scored with; more only takes time.
const MOST_MACS: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let (folder, path) = pkdgan_fuzz::file("model.safetensors", &pkdgan_fuzz::safetensors(bytes));
    let Ok(model) = ModelFile::read(&path) else { return };
    if model.architecture.generator_macs() <= MOST_MACS {
        let _ = check_scores(&model).inspect_err(in_a_line);
    }
    if let Ok(half) = in_half(&model).inspect_err(in_a_line) {
        let copy = folder.path().join("half.safetensors");
        // A number too large for half precision is found only here.
        match half.write(&copy) {
            Ok(()) => drop(ModelFile::read(&copy).expect("what was exported can be read")),
            Err(error) => in_a_line(&error.into()),
        }
    }
    let Ok(exported) = onnx(&model).inspect_err(in_a_line) else { return };
    assert_eq!(Model::decode(&exported.encode_to_vec()[..]).expect("a protocol buffer"), exported);

    let graph = exported.graph.expect("a graph");
    let mut known: HashSet<&str> = graph.input.iter().map(|input| &input.name[..]).collect();
    for tensor in &graph.initializer {
        let size = match ElementKind::try_from(tensor.data_type).expect("a kind") {
            ElementKind::Uint8 => 1,
            ElementKind::Float => 4,
            ElementKind::Int64 | ElementKind::Double => 8,
            ElementKind::Undefined => panic!("{} has no kind", tensor.name),
        };
        assert_eq!(tensor.dims.iter().product::<i64>() * size, tensor.raw_data.len() as i64, "{}", tensor.name);
        assert!(known.insert(&tensor.name), "{} is there twice", tensor.name);
    }
    for node in &graph.node {
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            assert!(known.contains(&input[..]), "{} takes {input}, which comes later", node.name);
        }
        for output in &node.output {
            assert!(known.insert(output), "{output} is there twice");
        }
    }
    for output in &graph.output {
        assert!(known.contains(&output.name[..]), "nothing makes {}", output.name);
    }
});

fn in_a_line(error: &ExportError) {
    assert!(!error.to_string().contains('\n'), "{error}");
}
