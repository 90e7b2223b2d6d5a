//! `pkdgan export`: writes a model for other programs. The formats are `export/`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use pkdgan::model::{ModelFile, ScoreChoice};
use pkdgan::unstable::export::schema::{ElementKind, Length, Model, Value};
use pkdgan::unstable::export::{check_scores, in_half, onnx, write_model};
use pkdgan::unstable::run::{Given, model_file};
use serde_json::json;

use super::output::{self, OutputError};

/// Arguments of `pkdgan export`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Model file, or a run folder, whose `model.safetensors` is meant
    model: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// What the exported model scores by, as in `pkdgan score`; ONNX graphs and the browser compute `latent` alone
    #[arg(long, value_name = "KIND", default_value = "default")]
    score: ScoreChoice,
    /// File to write, or `-` for standard output [default: beside the model, named like it]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
    /// Print JSON: `file`, `bytes`, and of ONNX `inputs` and `outputs`
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One graph from the bytes of pixels to score, reconstruction and p-value; opset 17, any number of images at once
    Onnx,
    /// The tensors that scoring takes, in half precision; every command that takes a model takes this file
    SafetensorsF16,
}

const EXAMPLES: &str = "Examples:
  pkdgan export runs/mnist-8-default-seed0 --format onnx             writes model.onnx into the run folder
  pkdgan export model.safetensors --format safetensors-f16 --out small.safetensors

In Python, an ONNX file of grey 28x28 images is used like this:
  session = onnxruntime.InferenceSession('model.onnx')
  scores, p_values = session.run(['score', 'p_value'], {'image': pixels})   # uint8 [N, 1, 28, 28]

A model has a p-value if it was calibrated. The metadata of either file holds architecture, preprocessing and normal class.";

/// Writes a model in another format.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let model_path = model_file(&arguments.model)?;
    let extension = match arguments.format {
        Format::Onnx => "onnx",
        Format::SafetensorsF16 => "f16.safetensors",
    };
    let path = arguments.out.clone().unwrap_or_else(|| model_path.with_extension(extension));
    let given = place(&path, &model_path, arguments.force)?;
    let model = ModelFile::read(&model_path)?.scored_by(arguments.score)?;
    let from = || model_path.display().to_string();
    let signature = match arguments.format {
        Format::Onnx => {
            check_scores(&model).with_context(from)?;
            let graph = onnx(&model).with_context(from)?;
            graph.write_given(&given)?;
            Signature::of(&graph)
        }
        Format::SafetensorsF16 => {
            let half = in_half(&model).with_context(from)?;
            check_scores(&half).with_context(from)?;
            write_model(&half, &given).with_context(from)?;
            Signature::default()
        }
    };
    if given.is_standard_output() {
        return Ok(ExitCode::SUCCESS);
    }
    let bytes = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    if arguments.json {
        output::line(format_args!("{:#}", signature.json(&path, bytes)))?;
    } else {
        signature.print()?;
        output::line(format_args!("written: {} ({bytes} bytes)", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses to write over a file unasked, and over the model in any case.
fn place(path: &Path, model: &Path, force: bool) -> anyhow::Result<Given> {
    let given = Given::new(path, [model])?;
    if given.is_file() && path.exists() && !force {
        bail!("{}: the file is there already; choose another with --out, or overwrite it with --force", path.display());
    }
    Ok(given)
}

/// What goes into a graph, and what comes out of it.
#[derive(Default)]
struct Signature {
    inputs: Vec<Described>,
    outputs: Vec<Described>,
}

struct Described {
    name: String,
    element: &'static str,
    shape: Vec<String>,
    doc: String,
}

impl Signature {
    fn of(model: &Model) -> Self {
        let graph = model.graph.clone().unwrap_or_default();
        let described = |values: Vec<Value>| values.into_iter().map(Described::from).collect();
        Self { inputs: described(graph.input), outputs: described(graph.output) }
    }

    fn print(&self) -> Result<(), OutputError> {
        for (label, values) in [("input", &self.inputs), ("output", &self.outputs)] {
            for Described { name, element, shape, doc } in values {
                output::line(format_args!("{label:<6} {name:<20} {element:<7} [{}]\n       {doc}", shape.join(", ")))?;
            }
        }
        Ok(())
    }

    fn json(&self, path: &Path, bytes: u64) -> serde_json::Value {
        let listed = |values: &[Described]| -> Vec<_> {
            values
                .iter()
                .map(|value| json!({"name": value.name, "type": value.element, "shape": value.shape}))
                .collect()
        };
        let mut described = json!({"file": path, "bytes": bytes});
        if !self.inputs.is_empty() {
            described["inputs"] = listed(&self.inputs).into();
            described["outputs"] = listed(&self.outputs).into();
        }
        described
    }
}

impl From<Value> for Described {
    fn from(value: Value) -> Self {
        let tensor = value.kind.and_then(|kind| kind.tensor).unwrap_or_default();
        let element = match tensor.element() {
            ElementKind::Undefined => "undefined",
            ElementKind::Float => "float32",
            ElementKind::Uint8 => "uint8",
            ElementKind::Int64 => "int64",
            ElementKind::Double => "float64",
        };
        let length = |length: Option<Length>| match length {
            Some(Length::Fixed(length)) => length.to_string(),
            Some(Length::Free(name)) => name,
            None => "?".into(),
        };
        let shape = tensor.shape.unwrap_or_default().dim.into_iter().map(|dim| length(dim.length)).collect();
        Self { name: value.name, element, shape, doc: value.doc_string }
    }
}
