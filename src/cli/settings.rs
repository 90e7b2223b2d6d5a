//! The flags that make a configuration. How recipe, file and flags go over each other is `config/layers.rs`'s.

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pkdgan::config::{Config, ConfigError, Goal, Recipe};
use pkdgan::data::{Colour, Dataset, Fit, GroupBy, Range, Source};
use pkdgan::model::{ModelFile, ScoreChoice};
use pkdgan::unstable::config::{Given, goal, resolve_given};

use super::moved::Moved;

/// Where a configuration comes from: a recipe, over it a file, over that single settings.
#[derive(Args)]
pub(super) struct Base {
    /// Settings that work together: `default` or `paper`
    #[arg(long, value_name = "NAME", default_value_t = Recipe::Default, help_heading = "Settings")]
    recipe: Recipe,
    /// TOML file whose settings replace the recipe's, such as the `config.toml` of a run
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// A single setting by its key in `config.toml`, as `training.weights.latent=3`; repeatable
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Settings")]
    pub set: Vec<String>,
    /// Folder that holds the data sets, each in a folder of its name [default: searched, see `pkdgan data --help`]
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    data_dir: Option<PathBuf>,
}

/// What a picture may be mirrored by and stay as normal.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Symmetry {
    LeftRight,
    TopBottom,
    Both,
}

/// The settings of a run: a base, over it flags.
#[derive(Args)]
pub(super) struct Settings {
    #[command(flatten)]
    base: Base,
    /// Data set: `mnist`, `fashion-mnist` or `cifar-10`
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    dataset: Option<Dataset>,
    /// The normal class, 0 to 9
    #[arg(long, value_name = "CLASS", help_heading = "Settings")]
    normal: Option<u8>,
    /// Folder of normal pictures of your own (PNG, JPEG, BMP, TIFF, WebP, GIF, PNM), instead of a data set; with --resume,
    /// where the run's pictures lie now
    #[arg(long, value_name = "DIR", help_heading = "Own images", conflicts_with_all = ["dataset", "normal"])]
    images: Option<PathBuf>,
    /// Folder of anomalous pictures to test with; a further share of the normal ones, as large as that of
    /// --calibration, is then held out of training for the test
    #[arg(long, value_name = "DIR", help_heading = "Own images", requires = "images")]
    anomalies: Option<PathBuf>,
    /// Folder of normal pictures to test with, beside --anomalies, so that none of --images are held out for the test; it may
    /// lie within that of --anomalies
    #[arg(long, value_name = "DIR", help_heading = "Own images", requires = "anomalies")]
    test_normal: Option<PathBuf>,
    /// Folder of normal pictures that set the threshold, so that none of --images are held out of training
    #[arg(long, value_name = "DIR", help_heading = "Own images", requires = "images", conflicts_with = "calibration")]
    calibration_images: Option<PathBuf>,
    /// Which pictures belong together, so that they all train or none of them does: `copies` (exact and near ones),
    /// `folder`, `none`, or a regular expression for file names, whose first group is what they share [default: copies]
    #[arg(long, value_name = "HOW", help_heading = "Own images", requires = "images")]
    group_by: Option<GroupBy>,
    /// Side that pictures are scaled to, in pixels: 32, 64 or 128; networks have a layer more for each doubling
    /// [default: 32]
    #[arg(long, value_name = "PIXELS", help_heading = "Own images", requires = "images")]
    size: Option<usize>,
    /// How pictures that are not square are made so: `crop` (cut the longer sides), `pad` (with black) or `stretch`
    /// [default: pad]
    #[arg(long, value_name = "FIT", help_heading = "Own images", requires = "images")]
    fit: Option<Fit>,
    /// `grey`, `rgb`, or `auto`: grey where no picture has a colour (`pkdgan model` takes it for rgb). Grey of a colour is
    /// 0.212648 R + 0.715179 G + 0.072173 B, rounded [default: auto]
    #[arg(long, value_name = "COLOUR", help_heading = "Own images", requires = "images")]
    colour: Option<Colour>,
    /// What is white in 16-bit pictures: `full` for 65535, `12-bit` for 4095 and so on, or `auto` for the greatest of as
    /// many bits as the training pictures use. The model keeps it for scoring [default: full]
    #[arg(long, value_name = "RANGE", help_heading = "Own images", requires = "images")]
    range: Option<Range>,
    /// What a picture may be mirrored by and stay as normal, as parts can be that come any way round: `left-right`, `top-bottom`
    /// or `both`. Training then sees half of the pictures so, drawn at random each time
    #[arg(long, value_name = "HOW", help_heading = "Own images", requires = "images")]
    symmetry: Option<Symmetry>,
    /// Take only files whose names fit this pattern, such as `*.png` or `monday/**`; repeatable. A pattern without a slash
    /// is for the name in any folder
    #[arg(long, value_name = "PATTERN", help_heading = "Own images", requires = "images")]
    include: Vec<String>,
    /// Leave out files and folders whose names fit this pattern; repeatable
    #[arg(long, value_name = "PATTERN", help_heading = "Own images", requires = "images")]
    exclude: Vec<String>,
    /// Enter folders where another file system is mounted; without it, each is named and skipped
    #[arg(long, help_heading = "Own images", requires = "images")]
    cross_file_systems: bool,
    /// Share of the normal training images that is held out of training, to set a threshold by; 0 for none. Of own
    /// images it is the share of groups (--group-by) [default: 0.1, of own images 0.2]
    #[arg(long, value_name = "SHARE", help_heading = "Settings")]
    calibration: Option<f64>,
    /// What images are scored by: `latent` (the method's own distance), `reconstruction`, `neighbour`, `features`, `combined`,
    /// or `auto` for the one that tells defects best that are painted into held-out images. `pkdgan score --score` can
    /// choose another later [default: latent, of own images auto]
    #[arg(long, value_name = "KIND", help_heading = "Settings")]
    score: Option<ScoreChoice>,
    /// Images per step of the teacher's training
    #[arg(long, value_name = "N", help_heading = "Settings")]
    batch_size: Option<usize>,
    /// Steps of the teacher's training; those of other stages are set by `--set`
    #[arg(long, value_name = "N", help_heading = "Settings", conflicts_with = "epochs")]
    steps: Option<usize>,
    /// Times that the teacher sees each training image, instead of steps
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub epochs: Option<usize>,
    /// Seed of the initial weights and of the sample order
    #[arg(long, value_name = "N", help_heading = "Settings")]
    seed: Option<u64>,
    /// Adam's full learning rate for the teacher
    #[arg(long, value_name = "RATE", help_heading = "Settings")]
    lr: Option<f64>,
    /// Take the images in file order, so that runs can be compared step by step
    #[arg(long, help_heading = "Settings")]
    no_shuffle: bool,
}

impl Base {
    /// The configuration that it makes, with `more` settings of the form `section.key=value` over it.
    pub(super) fn resolve(&self, more: &[String]) -> Result<Config, ConfigError> {
        self.resolve_given(&[], more)
    }

    fn resolve_given(&self, given: &[(&ModelFile, Given)], more: &[String]) -> Result<Config, ConfigError> {
        resolve_given(self.recipe, given, self.config.as_deref(), &self.sets(more))
    }

    fn sets(&self, more: &[String]) -> Vec<String> {
        let folder = self.data_dir.as_ref().map(|folder| format!("data.folder={}", quoted(&folder.display())));
        self.set.iter().cloned().chain(folder).chain(more.iter().cloned()).collect()
    }
}

impl Settings {
    /// Where a run's own pictures were moved to, as far as it is said.
    pub(super) fn moved(&self) -> Moved {
        Moved {
            images: self.images.clone(),
            anomalies: self.anomalies.clone(),
            test_normal: self.test_normal.clone(),
            calibration_images: self.calibration_images.clone(),
        }
    }

    /// The name of the recipe.
    pub(super) fn recipe(&self) -> &'static str {
        self.base.recipe.name()
    }

    /// What the run is for, with `more` settings of the form `section.key=value` over these.
    pub(super) fn goal(&self, more: &[String]) -> Result<Goal, ConfigError> {
        goal(self.base.config.as_deref(), &self.base.sets(more))
    }

    /// The configuration they make, with `more` settings of the form `section.key=value` over them.
    pub(super) fn resolve(&self, more: &[String]) -> Result<Config, ConfigError> {
        self.resolve_given(&[], more)
    }

    /// The same, with what model files say that the run is given.
    pub(super) fn resolve_given(&self, given: &[(&ModelFile, Given)], more: &[String]) -> Result<Config, ConfigError> {
        let folder = |path: &PathBuf| quoted(&std::path::absolute(path).unwrap_or_else(|_| path.clone()).display());
        let source = self.images.as_ref().map(|_| Source::Images).or(self.dataset.map(Source::Published));
        let normal = self.normal.or(self.images.as_ref().map(|_| 0));
        let flags = [
            ("data.dataset", source.map(|source| quoted(&source))),
            ("data.normal", normal.map(|normal| normal.to_string())),
            ("data.images.folder", self.images.as_ref().map(folder)),
            ("data.images.anomalies", self.anomalies.as_ref().map(folder)),
            ("data.images.test_normal", self.test_normal.as_ref().map(folder)),
            ("data.images.calibration", self.calibration_images.as_ref().map(folder)),
            ("data.images.group_by", self.group_by.as_ref().map(|by| quoted(by))),
            ("data.side", self.size.map(|side| side.to_string())),
            ("data.images.fit", self.fit.map(|fit| quoted(&fit))),
            ("data.images.colour", self.colour.map(|colour| quoted(&colour))),
            ("data.images.range", self.range.map(|range| quoted(&range))),
            ("training.augmentation.mirror", self.symmetry.map(|of| (of != Symmetry::TopBottom).to_string())),
            ("training.augmentation.flip", self.symmetry.map(|of| (of != Symmetry::LeftRight).to_string())),
            ("data.images.include", list(&self.include)),
            ("data.images.exclude", list(&self.exclude)),
            ("data.images.cross_file_systems", self.cross_file_systems.then(|| "true".to_owned())),
            ("data.calibration", self.calibration.map(|share| format!("{share:?}"))),
            ("scoring.score", self.score.map(|score| quoted(&score))),
            ("training.batch_size", self.batch_size.map(|n| n.to_string())),
            ("training.steps", self.steps.map(|n| n.to_string())),
            ("training.seed", self.seed.map(|n| n.to_string())),
            ("training.learning_rate", self.lr.map(|rate| format!("{rate:?}"))),
            ("training.shuffle", self.no_shuffle.then(|| "false".to_owned())),
        ];
        let sets = flags.into_iter().filter_map(|(key, value)| value.map(|value| format!("{key}={value}")));
        self.base.resolve_given(given, &sets.chain(more.iter().cloned()).collect::<Vec<_>>())
    }
}

/// Texts as TOML has them, if there are any.
fn list(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| toml::Value::from(texts.to_vec()).to_string())
}

/// A text as TOML has it.
pub(super) fn quoted(text: &dyn Display) -> String {
    toml::Value::from(text.to_string()).to_string()
}
