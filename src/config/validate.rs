//! The range of every setting.

use super::recipe::doublings;
use super::{Config, ConfigError, EvalSplit, LossWeights};
use crate::data::{CLASSES, Patterns, Source};
use crate::model::{ScoreChoice, ScoreKind};

/// Most samples of one run: a run that goes on draws the order of those before it again.
const MAX_SAMPLES: usize = 1 << 31;
/// Most pixels that images are shifted: half of the smallest image.
const MAX_SHIFT: u32 = 16;

impl Config {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// [`ConfigError::Range`] of the first that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { data, network, training, .. } = self;

        require("data.normal", data.normal, data.normal < CLASSES, "a class, 0 to 9")?;
        let sides: &[usize] = if data.dataset == Source::Images { &[32, 64, 128] } else { &[32] };
        let allowed = "32, or 64 or 128 for own images: the layers of the networks are made for that";
        require("data.side", data.side, sides.contains(&data.side), allowed)?;
        self.validate_images()?;
        real("data.calibration", data.calibration, 0.0, 0.9, "a share of the images, 0 to 0.9")?;
        let score = self.scoring.score;
        let takes_none = matches!(score, ScoreChoice::Default | ScoreChoice::Kind(ScoreKind::Latent));
        let named = data.images.as_ref().is_some_and(|own| !own.calibration.as_os_str().is_empty());
        let held_out = data.calibration > 0.0 || named;
        let allowed = "default or latent where no images are held out (data.calibration above 0)";
        require("scoring.score", score, takes_none || held_out, allowed)?;
        self.widths("network.generator", &network.generator)?;
        require("network.latents", network.latents, (1..=4096).contains(&network.latents), "1 to 4096")?;
        self.widths("network.discriminator", &network.discriminator)?;
        batch("training.batch_size", training.batch_size)?;
        require("training.steps", training.steps, training.steps >= 1, "1 or more")?;
        samples("training.steps", training.batch_size, training.steps)?;
        require("training.seed", training.seed, i64::try_from(training.seed).is_ok(), "0 to 2^63 - 1")?;
        real("training.learning_rate", training.learning_rate, 1e-12, 10.0, "1e-12 to 10")?;
        for beta in training.betas {
            // In single precision, as Adam takes them: there 0.99999999 is 1.
            let decays = beta >= 0.0 && (beta as f32) < 1.0;
            require("training.betas", beta, decays, "two numbers, each at least 0 and below 1 in single precision")?;
        }
        real("training.init_std", training.init_std, 1e-12, 10.0, "1e-12 to 10")?;
        real("training.norm_epsilon", training.norm_epsilon, 1e-12, 1.0, "1e-12 to 1")?;
        real("training.norm_momentum", training.norm_momentum, 1e-12, 1.0, "1e-12 to 1")?;
        losses(
            ["training.weights.reconstruction", "training.weights.latent", "training.weights.adversarial"],
            &training.weights,
        )?;
        let shift = training.augmentation.max_shift;
        require("training.augmentation.max_shift", shift, shift <= MAX_SHIFT, "0 to 16")?;
        let pseudo = &training.pseudo_anomalies;
        real("training.pseudo_anomalies.weight", pseudo.weight, 0.0, 1e6, "0 to 1e6")?;
        real("training.pseudo_anomalies.margin", pseudo.margin, 0.0, 4.0, "0 to 4")?;
        let made = pseudo.weight == 0.0 || !pseudo.kinds.is_empty();
        require("training.pseudo_anomalies.kinds", "[]", made, "at least one kind, unless the weight is 0")?;
        self.validate_student()?;
        self.validate_distillation()
    }

    /// What goes for own pictures only.
    fn validate_images(&self) -> Result<(), ConfigError> {
        let data = &self.data;
        let own = data.dataset == Source::Images;
        let folder = data.images.as_ref().map(|images| images.folder.as_path());
        let named = folder.is_some_and(|folder| !folder.as_os_str().is_empty());
        let shown = folder.map_or_else(String::new, |folder| folder.display().to_string());
        require("data.images.folder", shown, named == own, "named (--images DIR) for own images, and for them only")?;
        let patterns = data.images.as_ref().map(|images| Patterns::new(&images.include, &images.exclude));
        if let Some(Err(error)) = patterns {
            let key = "data.images.include, data.images.exclude";
            return Err(ConfigError::Range { key, value: error.to_string(), allowed: "patterns as *.png or old/**" });
        }
        if own {
            require("data.normal", data.normal, data.normal == 0, "0 for own images, which are all normal")?;
            let share = data.calibration > 0.0 && data.calibration <= 0.4;
            require("data.calibration", data.calibration, share, "above 0 and at most 0.4 for own images")?;
            let test = data.eval_split == EvalSplit::Test;
            require(
                "data.eval_split",
                "validation",
                test,
                "test for own images; hold anomalous ones by with --anomalies DIR",
            )?;
        }
        Ok(())
    }

    /// One width for each halving down to 4 pixels.
    fn widths(&self, key: &'static str, widths: &[usize]) -> Result<(), ConfigError> {
        let (count, allowed) = match doublings(self.data.side) {
            0 => (3, "three widths, each 1 to 4096"),
            1 => (4, "four widths at a side of 64, each 1 to 4096"),
            _ => (5, "five widths at a side of 128, each 1 to 4096"),
        };
        let wrong = widths.iter().find(|width| !(1..=4096).contains(*width));
        require(key, wrong.copied().unwrap_or_default(), wrong.is_none(), allowed)?;
        require(key, format!("{widths:?}"), widths.len() == count, allowed)
    }

    fn validate_student(&self) -> Result<(), ConfigError> {
        let student = &self.student;
        self.widths("student.discriminator", &student.discriminator)?;
        let problem = self.student().check().err().unwrap_or_default();
        require(
            "student.encoder",
            problem.clone(),
            problem.is_empty(),
            "layers of channels, kernel, stride and padding that fit the image",
        )?;
        losses(
            ["student.weights.reconstruction", "student.weights.latent", "student.weights.adversarial"],
            &student.weights,
        )?;
        let alone = &student.alone;
        batch("student.alone.batch_size", alone.batch_size)?;
        require("student.alone.steps", alone.steps, alone.steps >= 1, "1 or more")?;
        samples("student.alone.steps", alone.batch_size, alone.steps)?;
        real("student.alone.learning_rate", alone.learning_rate, 1e-12, 10.0, "1e-12 to 10")
    }

    fn validate_distillation(&self) -> Result<(), ConfigError> {
        let distillation = &self.distillation;
        let weights = &distillation.weights;
        real("distillation.weights.latent", weights.latent, 0.0, 1e6, "0 to 1e6")?;
        real("distillation.weights.reconstruction", weights.reconstruction, 0.0, 1e6, "0 to 1e6")?;
        real("distillation.weights.reconstruction_latent", weights.reconstruction_latent, 0.0, 1e6, "0 to 1e6")?;
        let step1 = [
            "distillation.step1.batch_size",
            "distillation.step1.steps",
            "distillation.step1.learning_rate",
            "distillation.step1.teacher_learning_rate",
        ];
        let step2 = [
            "distillation.step2.batch_size",
            "distillation.step2.steps",
            "distillation.step2.learning_rate",
            "distillation.step2.teacher_learning_rate",
        ];
        for ([size, steps, rate, teacher_rate], step) in [(step1, &distillation.step1), (step2, &distillation.step2)] {
            batch(size, step.batch_size)?;
            samples(steps, step.batch_size, step.steps)?;
            real(rate, step.learning_rate, 1e-12, 10.0, "1e-12 to 10")?;
            real(teacher_rate, step.teacher_learning_rate, 1e-12, 10.0, "1e-12 to 10")?;
        }
        let none = distillation.step1.steps + distillation.step2.steps == 0;
        require("distillation.step1.steps", 0, !none, "1 or more where step 2 has none")
    }
}

fn batch(key: &'static str, size: usize) -> Result<(), ConfigError> {
    require(key, size, (1..=65_536).contains(&size), "1 to 65536")
}

fn samples(key: &'static str, batch_size: usize, steps: usize) -> Result<(), ConfigError> {
    let fits = batch_size.saturating_mul(steps) <= MAX_SAMPLES;
    require(key, steps, fits, "at most 2^31 divided by the batch size")
}

fn losses(keys: [&'static str; 3], weights: &LossWeights) -> Result<(), ConfigError> {
    let values = [weights.reconstruction, weights.latent, weights.adversarial];
    keys.into_iter().zip(values).try_for_each(|(key, value)| real(key, value, 0.0, 1e6, "0 to 1e6"))
}

fn real(key: &'static str, value: f64, least: f64, most: f64, allowed: &'static str) -> Result<(), ConfigError> {
    require(key, value, (least..=most).contains(&value), allowed)
}

fn require(
    key: &'static str,
    value: impl std::fmt::Display,
    holds: bool,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Range { key, value: value.to_string(), allowed }) }
}
