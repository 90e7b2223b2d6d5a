//! Settings that work together, by name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{
    AugmentationConfig, Budget, Config, ConfigError, DataConfig, DistillationConfig, DistillationStep,
    DistillationWeights, EvalSplit, Goal, ImagesConfig, LatentConstraint, LossWeights, NetworkConfig, PseudoAnomaly,
    PseudoAnomalyConfig, RunConfig, Schedule, ScoreChoice, ScoringConfig, Statistics, Structure, StudentConfig,
    TrainingConfig,
};
use crate::data::{Dataset, Source};

/// Settings that work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Recipe {
    /// Batches of 8 and running statistics: the faster one.
    #[default]
    Default,
    /// Batches of 1, as the paper found best, with per-image statistics; sees as many images.
    Paper,
}

impl Recipe {
    /// Every recipe.
    pub const ALL: [Self; 2] = [Self::Default, Self::Paper];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Paper => "paper",
        }
    }

    /// The configuration that the recipe stands for on a data set, with normal class 8 and seed 0.
    ///
    /// CIFAR-10 has one of its own, whatever the recipe: there statistics of each image detect better, and transformed
    /// images must not pass for normal.
    pub fn config(self, dataset: Dataset) -> Config {
        let (batch_size, steps, learning_rate, latent, statistics) = match (dataset, self) {
            (Dataset::Cifar10, _) => (8, 1_500, 5e-4, LATENT_OF_CIFAR10, Statistics::PerImage),
            (_, Self::Default) => (8, 1_500, 5e-4, 5.0, Statistics::Running),
            (_, Self::Paper) => (1, 12_000, 2e-4, 3.0, Statistics::PerImage),
        };
        let (generator, latents) = match dataset {
            Dataset::Cifar10 => (vec![64, 128, 256], 256),
            Dataset::Mnist | Dataset::FashionMnist => (vec![48, 96, 192], 48),
        };
        let (augmentation, pseudo_anomalies) = match dataset {
            Dataset::Cifar10 => (
                AugmentationConfig { mirror: true, flip: false, max_shift: 2 },
                PseudoAnomalyConfig {
                    weight: 10.0,
                    kinds: vec![PseudoAnomaly::Turned, PseudoAnomaly::Recoloured],
                    ..PseudoAnomalyConfig::default()
                },
            ),
            Dataset::Mnist | Dataset::FashionMnist => Default::default(),
        };
        Config {
            run: RunConfig { stage: Goal::All, with_baseline: false },
            data: DataConfig {
                dataset: dataset.into(),
                folder: PathBuf::new(),
                normal: 8,
                side: 32,
                eval_split: EvalSplit::Test,
                calibration: CALIBRATION,
                images: None,
            },
            network: NetworkConfig {
                generator,
                latents,
                latent_constraint: LatentConstraint::default(),
                discriminator: vec![32, 64, 128],
            },
            training: TrainingConfig {
                batch_size,
                steps,
                seed: 0,
                learning_rate,
                schedule: Schedule::Cosine,
                betas: [0.5, 0.999],
                init_std: 0.02,
                shuffle: true,
                norm_epsilon: 1e-5,
                norm_momentum: 0.1,
                weights: LossWeights { reconstruction: reconstruction(dataset), latent, adversarial: 0.1 },
                augmentation,
                pseudo_anomalies,
            },
            scoring: ScoringConfig { statistics, score: ScoreChoice::Default },
            student: student(dataset),
            distillation: distillation(dataset),
        }
    }

    /// The configuration that the recipe stands for on own pictures of a side of 32, 64 or 128 pixels: that of MNIST, with
    /// one layer more for each doubling and a budget of the student's own. There is no second step of distillation, which
    /// made students no better there; see docs/experiments.md.
    pub fn images(self, side: usize) -> Config {
        let mut config = self.config(Dataset::Mnist);
        config.data.dataset = Source::Images;
        config.data.images = Some(ImagesConfig::default());
        config.data.normal = 0;
        config.data.side = side;
        config.data.calibration = CALIBRATION_OF_OWN;
        config.student.alone = BUDGET_OF_OWN;
        let DistillationConfig { step1, step2, weights, .. } = &mut config.distillation;
        (step1.steps, step1.learning_rate) = (BUDGET_OF_OWN.steps, BUDGET_OF_OWN.learning_rate);
        weights.reconstruction = 50.0;
        step2.steps = 0;
        for _ in 0..doublings(side) {
            for widths in
                [&mut config.network.generator, &mut config.network.discriminator, &mut config.student.discriminator]
            {
                widths.extend(widths.last().copied());
            }
            config.student.encoder.push([32, 2, 2, 0]);
        }
        config
    }
}

/// Weight of the latent loss on CIFAR-10.
const LATENT_OF_CIFAR10: f64 = 15.0;

/// Weight of the reconstruction on a data set.
fn reconstruction(dataset: Dataset) -> f64 {
    if dataset == Dataset::Cifar10 { 100.0 } else { 50.0 }
}

/// Share of a data set's normal images that calibrates: enough to promise a false-alarm rate of 0.01 on each.
const CALIBRATION: f64 = 0.1;
/// The same for own pictures, of which there are fewer.
const CALIBRATION_OF_OWN: f64 = 0.2;

/// Budget of a student of own pictures, alone and in step 1.
const BUDGET_OF_OWN: Budget = Budget { batch_size: 16, steps: 8_000, learning_rate: 4e-3 };

/// How often 32 is doubled on the way to a side.
pub(super) fn doublings(side: usize) -> usize {
    match side {
        64 => 1,
        128 => 2,
        _ => 0,
    }
}

/// The student of a data set: layers that reach the papers' compression ratios. Budgets were chosen on held-out images; see
/// docs/experiments.md.
fn student(dataset: Dataset) -> StudentConfig {
    let (encoder, statistics) = match dataset {
        Dataset::Mnist => (vec![[8, 4, 4, 0], [12, 2, 2, 0]], Statistics::Running),
        Dataset::FashionMnist => (vec![[5, 4, 4, 0], [8, 2, 2, 0]], Statistics::Running),
        Dataset::Cifar10 => (vec![[10, 4, 2, 1], [20, 4, 2, 1], [40, 4, 2, 1]], Statistics::PerImage),
    };
    let (latent, steps, learning_rate) = match dataset {
        Dataset::Mnist => (5.0, 24_000, 8e-3),
        Dataset::FashionMnist => (5.0, 8_000, 2e-3),
        Dataset::Cifar10 => (LATENT_OF_CIFAR10, 2_000, 2e-3),
    };
    StudentConfig {
        encoder,
        discriminator: vec![8, 16, 32],
        statistics,
        weights: LossWeights { reconstruction: reconstruction(dataset), latent, adversarial: 0.1 },
        alone: Budget { batch_size: 16, steps, learning_rate },
    }
}

/// How the student of a data set learns: for as long as it does alone, then for a while with a teacher that learns too.
fn distillation(dataset: Dataset) -> DistillationConfig {
    let Budget { batch_size, steps, learning_rate } = student(dataset).alone;
    // Only own losses have pseudo-anomalies, which students of CIFAR-10 cannot do without.
    let structure = if dataset == Dataset::Cifar10 { Structure::FrozenOwn } else { Structure::Frozen };
    let reconstruction = if dataset == Dataset::Mnist { 30.0 } else { 50.0 };
    DistillationConfig {
        precompute_teacher_outputs: true,
        weights: DistillationWeights { latent: 30.0, reconstruction, reconstruction_latent: 30.0 },
        step1: DistillationStep { structure, batch_size, steps, learning_rate, teacher_learning_rate: 1e-4 },
        step2: DistillationStep {
            structure: Structure::JointOwn,
            batch_size: 8,
            steps: 250,
            learning_rate: 1e-3,
            teacher_learning_rate: 1e-4,
        },
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Recipe {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let recipe = Self::ALL.into_iter().find(|recipe| recipe.name() == name);
        recipe.ok_or_else(|| ConfigError::UnknownRecipe { name: name.to_owned() })
    }
}
