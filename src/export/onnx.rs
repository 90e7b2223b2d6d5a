//! A model as one ONNX graph, from bytes of pixels to scores and p-values.

use std::path::Path;

use prost::Message;
use serde_json::json;

use super::ExportError;
use super::builder::{Builder, float, integer, integers, value};
use super::schema::{ElementKind, Entry, Graph, Model, OperatorSet, Value};
use crate::calibration::{Calibration, TIE_RATIO, TIE_STEP, rounded_up, tie_bound};
use crate::data::{Fit, GREY, Preprocessing, Source};
use crate::engine::{Activation, MIN_NORM};
use crate::model::{Layer, LayerKind, ModelFile, NetworkSpec, Normal, Statistics};
use crate::run::Given;
use crate::score_kind::ScoreKind;
use crate::weights::Weights;

/// The set of operators, and the version of the file format that came with it.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
/// Largest protocol buffer, in bytes.
const MAX_BYTES: usize = i32::MAX as usize;

/// The model as an ONNX graph. Its input is `image`, the pixels as bytes `[N, C, H, W]`, for any `N`. Its outputs are
/// `score` `[N]`, `reconstruction` `[N, C, side, side]` in [-1, 1], and of a calibrated model `calibration_at_least`
/// `[N]`, how many calibration scores are at least as high (ties as of [`tie_bound`] among them), and `p_value` `[N]`.
///
/// # Errors
/// A model that scores by more than the latent distance; tensors that are missing, of another shape than the
/// architecture's or not finite; and statistics of single values.
pub fn onnx(model: &ModelFile) -> Result<Model, ExportError> {
    if model.score != ScoreKind::Latent {
        return Err(ExportError::Score(model.score));
    }
    let mut exporter = Exporter { builder: Builder::default(), weights: model.weights.clone(), model };
    let [encoder1, decoder, encoder2] = model.architecture.generator();
    let pixels = exporter.pixels()?;
    let latent = exporter.network(&encoder1, &pixels, "latent")?;
    let reconstruction = exporter.network(&decoder, &latent, "reconstruction")?;
    let latent_again = exporter.network(&encoder2, &reconstruction, "latent_again")?;
    exporter.score(&latent, &latent_again);
    if let Some(calibration) = &model.calibration {
        exporter.p_value(calibration)?;
    }
    let graph = Graph {
        name: "pkdgan".into(),
        doc_string: "Encoder, decoder and second encoder; the score is the distance of the two latent vectors.".into(),
        input: vec![image(&model.preprocessing)],
        output: outputs(model),
        ..exporter.builder.graph
    };
    let mut metadata = model.metadata();
    if let Some(calibration) = &model.calibration {
        let scores = calibration.scores();
        metadata.insert("calibration.count".into(), scores.len().to_string());
        // Rust's debug form of numbers is JSON with the fewest digits that read back as the same numbers.
        metadata.insert("calibration.scores".into(), format!("{scores:?}"));
    }
    metadata.extend(interface(model).map(|(key, value)| (key.to_owned(), value)));
    Ok(Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: doc(model),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata.into_iter().map(|(key, value)| Entry { key, value }).collect(),
    })
}

impl Model {
    /// Writes the file whole. The same model gives the same bytes.
    ///
    /// # Errors
    /// A file that would be too large for its format, and one that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ExportError> {
        self.write_given(&Given::new(path, [])?)
    }

    /// The same, to where a command was told to write.
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub fn write_given(&self, given: &Given) -> Result<(), ExportError> {
        match self.encoded_len() {
            ..=MAX_BYTES => Ok(given.write(|out| out.write_all(&self.encode_to_vec()))?),
            bytes => Err(ExportError::TooLarge(bytes)),
        }
    }
}

fn image(preprocessing: &Preprocessing) -> Value {
    let Preprocessing { channels, height, width, .. } = *preprocessing;
    value("image", ElementKind::Uint8, &[channels, height, width], &expected(preprocessing))
}

/// What the input has to be, for people.
fn expected(preprocessing: &Preprocessing) -> String {
    let Preprocessing { channels, height, width, fit, .. } = *preprocessing;
    let colour = match channels {
        1 => format!("grey; of a colour {GREY}, rounded, before scaling"),
        _ => "red, green, blue".into(),
    };
    let fitted = match fit {
        Fit::Crop => "scaled until they cover it, and cut at the longer sides, equally at both ends",
        Fit::Pad => "scaled until they lie within, and centred on black",
        Fit::Stretch => "stretched to it",
    };
    format!(
        "Pixels 0 to 255, as bytes: images, channels ({colour}), rows, columns. Pictures of another size than {width} x \
         {height} are {fitted}, by a bilinear filter that averages over all that a pixel covers."
    )
}

/// The same for programs, and what comes out.
fn interface(model: &ModelFile) -> [(&'static str, String); 2] {
    let Preprocessing { channels, height, width, fit, .. } = model.preprocessing;
    let mut input = json!({
        "name": "image",
        "type": "uint8",
        "range": [0, 255],
        "dimensions": ["images", "channels", "rows", "columns"],
        "shape": [null, channels, height, width],
        "channels": if channels == 1 { json!(["grey"]) } else { json!(["red", "green", "blue"]) },
        "fit": fit,
        "filter": "bilinear, over all that a pixel covers",
    });
    if channels == 1 {
        input["grey"] = format!("{GREY}, rounded, before scaling").into();
    }
    let mut output = json!({ "score": "at least 0, higher is stranger" });
    if let Some(calibration) = &model.calibration {
        output["p_value"] = "(1 + calibration_at_least) / (1 + calibration.count)".into();
        output["anomalous"] = "p_value <= alpha".into();
        output["least_alpha"] = calibration.least_alpha().into();
    }
    [("input", input.to_string()), ("output", output.to_string())]
}

fn outputs(model: &ModelFile) -> Vec<Value> {
    let Preprocessing { channels, side, .. } = model.preprocessing;
    let mut outputs = vec![
        value(
            "score",
            ElementKind::Float,
            &[],
            "Anomaly score, the distance of the two latent vectors; higher is stranger.",
        ),
        value(
            "reconstruction",
            ElementKind::Float,
            &[channels, side, side],
            "What the network makes of the image, -1 to 1; the image lies centred in it.",
        ),
    ];
    if let Some(calibration) = &model.calibration {
        let count = calibration.scores().len();
        outputs.extend([
            value(
                "calibration_at_least",
                ElementKind::Int64,
                &[],
                &format!(
                    "How many of the {count} calibration scores are at least as high: of a calibration score s, \
                     max({TIE_RATIO} s, s + {TIE_STEP}) is not below this score."
                ),
            ),
            value(
                "p_value",
                ElementKind::Double,
                &[],
                &format!(
                    "(1 + calibration_at_least) / {}: call what is at most alpha anomalous, and no more than that share \
                     of normal images is expected to be called so.",
                    count + 1
                ),
            ),
        ]);
    }
    outputs
}

fn doc(model: &ModelFile) -> String {
    let Normal { dataset, class } = &model.normal;
    let normal = match dataset.parse::<Source>() {
        Ok(Source::Images) => "its training images".into(),
        _ => format!("class {class} of {dataset}"),
    };
    let (calibrated, verdict) = match &model.calibration {
        Some(calibration) => (
            format!("calibrated with {} normal images", calibration.scores().len()),
            format!(
                "Output `p_value`: of normal images no more than this share is expected to score as high. An image is \
                 anomalous where p_value <= alpha, the false-alarm rate that you choose: {} at the least.",
                rounded_up(calibration.least_alpha())
            ),
        ),
        None => ("not calibrated".into(), "Without calibration there is no p-value and no verdict.".into()),
    };
    format!(
        "Finds what is not like {normal}: an encoder-decoder-encoder GAN, {calibrated}.\n\
         Input `image`: {}\n\
         Output `score`: at least 0, higher is stranger.\n\
         {verdict}",
        expected(&model.preprocessing)
    )
}

/// A model on its way into a graph.
struct Exporter<'a> {
    model: &'a ModelFile,
    builder: Builder,
    /// Tensors that are not in the graph yet.
    weights: Weights,
}

impl Exporter<'_> {
    /// From bytes to what the networks take: [-1, 1], centred in a square of background.
    fn pixels(&mut self) -> Result<String, ExportError> {
        let Preprocessing { height, width, side, .. } = self.model.preprocessing;
        let builder = &mut self.builder;
        let half = builder.floats("half_range", &[], &[127.5])?;
        let one = builder.floats("one", &[], &[1.0])?;
        let bytes = builder.node("Cast", &["image"], vec![integer("to", ElementKind::Float as i64)], "image.float");
        let scaled = builder.node("Div", &[&bytes, &half], vec![], "image.scaled");
        let signed = builder.node("Sub", &[&scaled, &one], vec![], "image.signed");
        if [height, width] == [side, side] {
            return Ok(signed);
        }
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let margins = [0, 0, top, left, 0, 0, side - height - top, side - width - left];
        let margins = builder.integers("margins", &margins);
        let background = builder.floats("background", &[], &[-1.0])?;
        Ok(builder.node("Pad", &[&signed, &margins, &background], vec![], "image.padded"))
    }

    /// A network that reads `x` and makes the value `output`.
    fn network(&mut self, spec: &NetworkSpec, x: &str, output: &str) -> Result<String, ExportError> {
        let mut x = x.to_owned();
        for ((layer, input), figures) in spec.layer_inputs().zip(spec.figures()) {
            let name = format!("{}.{}", spec.name, figures.name);
            let [_, height, width] = figures.output;
            if layer.norm && self.model.statistics == Statistics::PerImage && height * width == 1 {
                return Err(ExportError::SingleValue { layer: name });
            }
            x = self.layer(&name, layer, input[0], &x)?;
        }
        if spec.unit_rms {
            self.unit_rms(spec, &x)?;
        }
        Ok(self.builder.rename_newest(output))
    }

    /// A layer called `name` of so many input channels.
    fn layer(&mut self, name: &str, layer: &Layer, channels: usize, x: &str) -> Result<String, ExportError> {
        let shape = layer.weight(channels);
        let mut weight = self.take(name, "weight", &shape)?;
        let bias = match (layer.norm, self.model.statistics) {
            (false, _) => Some(self.take(name, "bias", &[layer.channels])?),
            (true, Statistics::Running) => Some(self.fold(name, layer, &mut weight)?),
            (true, Statistics::PerImage) => None,
        };
        let mut inputs = vec![x.to_owned(), self.builder.floats(&format!("{name}.weight"), &shape, &weight)?];
        if let Some(bias) = bias {
            inputs.push(self.builder.floats(&format!("{name}.bias"), &[layer.channels], &bias)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let window = vec![
            integers("kernel_shape", &[layer.kernel; 2]),
            integers("pads", &[layer.padding; 4]),
            integers("strides", &[layer.stride; 2]),
        ];
        let operator = match layer.kind {
            LayerKind::Conv => "Conv",
            LayerKind::ConvTranspose => "ConvTranspose",
        };
        let mut y = self.builder.node(operator, &inputs, window, name);
        if layer.norm && self.model.statistics == Statistics::PerImage {
            y = self.norm(name, layer.channels, &y)?;
        }
        let (operator, attributes) = match layer.activation {
            Activation::Identity => return Ok(y),
            Activation::Relu => ("Relu", vec![]),
            Activation::LeakyRelu(slope) => ("LeakyRelu", vec![float("alpha", slope)]),
            Activation::Tanh => ("Tanh", vec![]),
            Activation::Sigmoid => ("Sigmoid", vec![]),
        };
        Ok(self.builder.node(operator, &[&y], attributes, &format!("{name}.activation")))
    }

    /// Takes a norm by running averages into the weight before it, and returns the bias that comes with it.
    fn fold(&mut self, name: &str, layer: &Layer, weight: &mut [f32]) -> Result<Vec<f32>, ExportError> {
        let channels = layer.channels;
        let mut take = |part: &str| self.take(name, part, &[channels]);
        let (scale, shift) = (take("norm.weight")?, take("norm.bias")?);
        let (mean, variance) = (take("norm.running_mean")?, take("norm.running_var")?);
        let epsilon = f64::from(self.model.norm_epsilon);
        let factor = |channel: usize| f64::from(scale[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
        // Elements in a row that belong to one output channel.
        let run = match layer.kind {
            LayerKind::Conv => weight.len() / channels,
            LayerKind::ConvTranspose => layer.kernel * layer.kernel,
        };
        for (place, run) in weight.chunks_exact_mut(run).enumerate() {
            let factor = factor(place % channels);
            run.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
        }
        let bias = |channel: usize| (f64::from(shift[channel]) - f64::from(mean[channel]) * factor(channel)) as f32;
        Ok((0..channels).map(bias).collect())
    }

    /// A norm by the statistics of each image, which is what ONNX calls instance normalization.
    fn norm(&mut self, name: &str, channels: usize, x: &str) -> Result<String, ExportError> {
        let (scale, shift) = (self.take(name, "norm.weight", &[channels])?, self.take(name, "norm.bias", &[channels])?);
        let scale = self.builder.floats(&format!("{name}.norm.weight"), &[channels], &scale)?;
        let shift = self.builder.floats(&format!("{name}.norm.bias"), &[channels], &shift)?;
        let epsilon = vec![float("epsilon", self.model.norm_epsilon)];
        Ok(self.builder.node("InstanceNormalization", &[x, &scale, &shift], epsilon, &format!("{name}.norm")))
    }

    /// `x sqrt(n) / max(||x||, smallest)` of the `n` channels of each image.
    fn unit_rms(&mut self, spec: &NetworkSpec, x: &str) -> Result<(), ExportError> {
        let name = |part: &str| format!("{}.{part}", spec.name);
        let [channels, ..] = spec.output();
        let builder = &mut self.builder;
        let smallest = builder.floats(&name("smallest_norm"), &[], &[MIN_NORM])?;
        let root = builder.floats(&name("root"), &[], &[(channels as f64).sqrt() as f32])?;
        let norm = builder.node("ReduceL2", &[x], vec![integers("axes", &[1])], &name("norm"));
        let norm = builder.node("Max", &[&norm, &smallest], vec![], &name("norm_at_least"));
        let scale = builder.node("Div", &[&root, &norm], vec![], &name("scale"));
        builder.node("Mul", &[x, &scale], vec![], &name("unit_rms"));
        Ok(())
    }

    fn score(&mut self, latent: &str, latent_again: &str) {
        let difference = self.builder.node("Sub", &[latent, latent_again], vec![], "latent_difference");
        let sum = vec![integers("axes", &[1, 2, 3]), integer("keepdims", 0)];
        self.builder.node("ReduceL2", &[&difference], sum, "score");
    }

    fn p_value(&mut self, calibration: &Calibration) -> Result<(), ExportError> {
        let scores = calibration.scores();
        let builder = &mut self.builder;
        let axis = builder.integers("calibration.axis", &[1]);
        let column = builder.node("Unsqueeze", &["score", &axis], vec![], "score.column");
        let bounds: Vec<f32> = scores.iter().map(|&score| tie_bound(score)).collect();
        let bounds = builder.floats("calibration.tie_bounds", &[bounds.len()], &bounds)?;
        let at_least = builder.node("GreaterOrEqual", &[&bounds, &column], vec![], "calibration.at_least");
        let counted = vec![integer("to", ElementKind::Int64 as i64)];
        let ones = builder.node("Cast", &[&at_least], counted, "calibration.ones");
        let rows = vec![integer("keepdims", 0)];
        let count = builder.node("ReduceSum", &[&ones, &axis], rows, "calibration_at_least");
        let doubled = vec![integer("to", ElementKind::Double as i64)];
        let count = builder.node("Cast", &[&count], doubled, "calibration.count");
        let one = builder.double("calibration.one", 1.0);
        let images = builder.double("calibration.images", (scores.len() + 1) as f64);
        let numerator = builder.node("Add", &[&count, &one], vec![], "calibration.numerator");
        builder.node("Div", &[&numerator, &images], vec![], "p_value");
        Ok(())
    }

    /// Takes out a tensor of a layer.
    fn take(&mut self, layer: &str, part: &str, shape: &[usize]) -> Result<Vec<f32>, ExportError> {
        Ok(self.weights.take(&format!("{layer}.{part}"), shape)?)
    }
}
