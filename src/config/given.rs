//! What a model file that a run is given says of the run's settings. The file's word holds: settings that were left out
//! come from it, and a setting that contradicts it is refused by name.

use serde::Serialize;
use toml::{Table, Value};

use super::{Config, ConfigError, ImagesConfig};
use crate::data::{Colour, Range, Source};
use crate::model::{EncoderLayer, ModelFile};

/// Which of a run's networks a given model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// The teacher.
    Teacher,
    /// The student.
    Student,
}

impl Config {
    /// Checks that these settings say of one of the networks what a model file says that is to be it.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] names the first setting that the file contradicts.
    pub(crate) fn check_given(&self, model: &ModelFile, given: Given) -> Result<(), ConfigError> {
        self.compare(model, &settings(model, Some(given))?)
    }

    /// Checks that these settings are of the images that a model was trained for: data set, class, and how pictures are
    /// prepared.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] names the first setting that the file contradicts.
    pub(crate) fn check_images_of(&self, model: &ModelFile) -> Result<(), ConfigError> {
        self.compare(model, &settings(model, None)?)
    }

    fn compare(&self, model: &ModelFile, said: &Table) -> Result<(), ConfigError> {
        let contradiction = |key: String, settings: String, said: String| ConfigError::Contradiction {
            path: model.weights.origin.clone(),
            key,
            settings,
            model: said,
        };
        let mut own = Table::try_from(self).map_err(ConfigError::Write)?;
        let undecided = |images: &ImagesConfig| [images.colour == Colour::Auto, images.range == Range::Auto];
        if let (Some(undecided), Some(own), Some(said)) =
            (self.data.images.as_ref().map(undecided), images(&mut own), said["data"].get("images"))
        {
            for (key, _) in ["colour", "range"].into_iter().zip(undecided).filter(|(_, undecided)| *undecided) {
                own.insert(key.into(), said[key].clone());
            }
        }
        if let Some((key, settings, said)) = contradicted(&own, said, "") {
            return Err(contradiction(key, settings, said));
        }
        let (own, said) = (self.preprocessing(), model.preprocessing);
        if [own.height, own.width] != [said.height, said.width] {
            let pixels = |height, width| format!("of {height} x {width} pixels");
            return Err(contradiction(
                "data.dataset".into(),
                pixels(own.height, own.width),
                pixels(said.height, said.width),
            ));
        }
        Ok(())
    }

    /// Takes from a model what it says of a network, and of how pictures are prepared. Data set, class and side stay.
    pub(crate) fn adopt(&mut self, model: &ModelFile, given: Given) -> Result<(), ConfigError> {
        let mut said = settings(model, Some(given))?;
        let own_images = self.data.images.is_some();
        if let Some(data) = said.get_mut("data").and_then(Value::as_table_mut) {
            data.retain(|key, _| key == "images" && own_images);
        }
        let mut table = Table::try_from(&*self).map_err(ConfigError::Write)?;
        super::layers::lay(&mut table, said, &model.weights.origin.display().to_string())?;
        *self = super::layers::typed(table, "configuration")?;
        Ok(())
    }
}

fn images(table: &mut Table) -> Option<&mut Table> {
    table.get_mut("data")?.get_mut("images")?.as_table_mut()
}

/// The settings that a model file says: of its images, and of the network that it is given as.
///
/// # Errors
/// A teacher of layers that no setting describes.
pub(super) fn settings(model: &ModelFile, given: Option<Given>) -> Result<Table, ConfigError> {
    let (architecture, preprocessing) = (&model.architecture, model.preprocessing);
    let mut said = Table::new();
    let mut say = |key: &str, value: Value| {
        let (sections, name) = key.rsplit_once('.').unwrap_or_default();
        let mut table = &mut said;
        for section in sections.split('.') {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            let Some(inner) = inner.as_table_mut() else { return };
            table = inner;
        }
        table.insert(name.to_owned(), value);
    };
    say("data.dataset", Value::from(model.normal.dataset.clone()));
    say("data.normal", Value::from(i64::from(model.normal.class)));
    say("data.side", value(preprocessing.side)?);
    if model.normal.dataset == Source::Images.name() {
        let colour = if preprocessing.channels == 1 { Colour::Grey } else { Colour::Rgb };
        say("data.images.colour", value(colour)?);
        say("data.images.fit", value(preprocessing.fit)?);
        say("data.images.range", value(preprocessing.range)?);
    }
    let Some(given) = given else { return Ok(said) };
    // The shortest decimal that is this number in single precision, as it stood in the settings.
    let epsilon: f64 = model.norm_epsilon.to_string().parse().unwrap_or(model.norm_epsilon.into());
    say("training.norm_epsilon", Value::from(epsilon));
    say("network.latents", value(architecture.latents)?);
    say("network.latent_constraint", value(architecture.latent_constraint)?);
    match given {
        Given::Teacher => {
            let halving = |layer: &EncoderLayer| *layer == EncoderLayer::half(layer.channels);
            if !architecture.encoder.iter().all(halving) {
                return Err(ConfigError::Contradiction {
                    path: model.weights.origin.clone(),
                    key: "network.generator".into(),
                    settings: "channels of layers that halve the side".into(),
                    model: format!("{:?}", windows(&architecture.encoder)),
                });
            }
            let channels: Vec<usize> = architecture.encoder.iter().map(|layer| layer.channels).collect();
            say("network.generator", value(channels)?);
            say("network.discriminator", value(&architecture.discriminator)?);
            say("scoring.statistics", value(model.statistics)?);
        }
        Given::Student => {
            say("student.encoder", value(windows(&architecture.encoder))?);
            say("student.discriminator", value(&architecture.discriminator)?);
            say("student.statistics", value(model.statistics)?);
        }
    }
    Ok(said)
}

/// Channels, kernel, stride and padding of each layer.
fn windows(encoder: &[EncoderLayer]) -> Vec<[usize; 4]> {
    encoder.iter().map(|layer| [layer.channels, layer.kernel, layer.stride, layer.padding]).collect()
}

fn value(setting: impl Serialize) -> Result<Value, ConfigError> {
    Value::try_from(setting).map_err(ConfigError::Write)
}

/// The first key of `said` that has another value in `own`, with both values.
fn contradicted(own: &Table, said: &Table, section: &str) -> Option<(String, String, String)> {
    said.iter().find_map(|(name, said)| match (own.get(name), said) {
        (Some(Value::Table(own)), Value::Table(said)) => contradicted(own, said, &format!("{section}{name}.")),
        // As networks take it.
        (Some(Value::Float(own)), Value::Float(said)) if *own as f32 == *said as f32 => None,
        (Some(own), said) if own == said => None,
        (own, said) => {
            let own = own.map_or_else(|| "absent".to_owned(), ToString::to_string);
            Some((format!("{section}{name}"), own, said.to_string()))
        }
    })
}
