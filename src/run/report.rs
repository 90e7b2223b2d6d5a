//! `report.json`: the figures of a run.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LocalizationReport, RunError, SensitivityReport, write_whole};
use crate::data::{LeftOut, Noted, Source};
use crate::files::{read, text_of};
use crate::message::shortened;
use crate::metrics::BestF1;
use crate::score_kind::ScoreKind;

/// The figures of a run; those of a network are those of its result, the last of `networks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Area under the ROC curve on the test set after the last step, in [0, 1]; absent without anomalous images.
    pub auroc: Option<f64>,
    /// Average precision on the test set, anomalous images as positives, in [0, 1]; absent without any.
    pub average_precision: Option<f64>,
    /// Mean absolute error of the reconstruction of normal test images, on pixels in [-1, 1].
    pub reconstruction_l1_normal: f64,
    /// The same error of the best image of one colour; a reconstruction near it is constant.
    pub blank_l1_normal: f64,
    /// Duration of the run over all its processes, in seconds; of one that was killed, up to its last checkpoint.
    pub seconds_total: f64,
    /// How many processes worked on the run: one that was never resumed has one.
    #[serde(default = "one")]
    pub processes: u64,
    /// Mean duration of a step of the last stage, in seconds.
    pub seconds_per_step: f64,
    /// Steps of the last stage.
    pub steps: u64,
    /// Its images per step.
    pub batch_size: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Name of the adapter that computed.
    pub adapter: String,
    /// Graphics interface that it was reached by.
    pub backend: String,
    /// Its driver.
    pub driver: String,
    /// For how many convolutions `pkdgan tune` had found a faster kernel than the default, which the run then took.
    #[serde(default)]
    pub tuned_kernels: u64,
    /// Version of the program.
    pub version: String,
    /// The commit that it was built from; empty in reports of earlier versions.
    #[serde(default)]
    pub build: String,
    /// Multiply-accumulates of the generator for one image.
    pub macs: u64,
    /// Trainable parameters of the generator.
    pub params: u64,
    /// Most main memory held at once, in bytes, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// The data set, or `images` for own pictures.
    pub dataset: Source,
    /// The normal class.
    pub normal: u8,
    /// How own pictures belong together, and were divided; absent of data sets, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupsReport>,
    /// Files of own pictures that were not used, and what is worth knowing of the others; absent for a data set, and in
    /// reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesReport>,
    /// What was found of defects painted into normal images; absent of data sets, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<SensitivityReport>,
    /// How well heat maps point at defects whose masks are known; absent without masks, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localization: Option<LocalizationReport>,
    /// Every network that the run evaluated.
    pub networks: Vec<NetworkReport>,
}

/// What there is to know of the files of own pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesReport {
    /// Files that cannot be read as pictures.
    pub unreadable: u64,
    /// Files beside pictures, to say more of them.
    pub sidecars: u64,
    /// Files and folders that `--include` and `--exclude` leave out.
    pub excluded: u64,
    /// The first hundred of these.
    pub listed: Vec<UnusedFile>,
    /// Pictures with transparent pixels, which lie on black.
    pub transparent: u64,
    /// Files of which the first of several pictures was taken.
    pub first_of_several: u64,
    /// Pictures of 16 bits, and the bits that the greatest of their values takes.
    pub sixteen_bit: u64,
    /// See above; 0 where there are none.
    pub bits_used: u8,
}

/// A file that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedFile {
    /// Where it lies.
    pub path: String,
    /// Why it was not used.
    pub why: String,
}

impl FilesReport {
    /// The report of what was found.
    pub fn new(left_out: &LeftOut, noted: &Noted) -> Self {
        let listed = |(path, why): &(PathBuf, String)| UnusedFile {
            path: shortened(&text_of(path)).into_owned(),
            why: shortened(why).into_owned(),
        };
        Self {
            unreadable: left_out.unreadable as u64,
            sidecars: left_out.sidecars as u64,
            excluded: left_out.excluded as u64,
            listed: left_out.listed.iter().map(listed).collect(),
            transparent: noted.transparent as u64,
            first_of_several: noted.several as u64,
            sixteen_bit: noted.deep as u64,
            bits_used: noted.bits,
        }
    }
}

/// The figures of one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// `teacher`, `student-alone`, `student-step1`, `teacher-joint` or `student`.
    pub network: String,
    /// Numbers of the structures of distillation that it went through, as `1` or `1+4`; empty for none.
    pub structure: String,
    /// What its images are scored by, in all figures but those of reconstructions.
    #[serde(default)]
    pub score: ScoreKind,
    /// Trainable parameters of the generator.
    pub params: u64,
    /// Multiply-accumulates of the generator for one image.
    pub macs: u64,
    /// The teacher's multiply-accumulates to these.
    pub ratio: f64,
    /// Steps of the stage that it comes from.
    pub steps: u64,
    /// Images per step of that stage.
    pub batch_size: u64,
    /// Duration of that stage, in seconds; absent for a teacher that was given.
    pub seconds: Option<f64>,
    /// Area under the ROC curve, in [0, 1]; like the next three, absent without anomalous images.
    pub auroc: Option<f64>,
    /// Average precision, anomalous images as positives, in [0, 1].
    pub average_precision: Option<f64>,
    /// AUROC with the mean absolute error of the reconstruction as score.
    pub reconstruction_auroc_l1: Option<f64>,
    /// AUROC with the Euclidean error of the reconstruction as score.
    pub reconstruction_auroc_l2: Option<f64>,
    /// Mean absolute error of the reconstruction of normal test images, on pixels in [-1, 1].
    pub reconstruction_l1_normal: f64,
    /// The same error of the best image of one colour.
    pub blank_l1_normal: f64,
    /// The threshold that held-out normal images set; absent where none were held out.
    #[serde(default)]
    pub threshold: Option<ThresholdReport>,
    /// The best F1 of any threshold, which is chosen by the test labels; absent without anomalous images, and in
    /// reports of earlier versions.
    #[serde(default)]
    pub best_f1: Option<BestF1>,
    /// Median time of scoring a single image, read-back included, in seconds.
    pub latency_seconds: f64,
}

/// How own pictures belong together, and were divided. All pictures of a group train, or none of them does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsReport {
    /// What makes a group: `copies`, `folder`, `none`, or a regular expression for file names.
    pub group_by: String,
    /// Normal pictures.
    pub pictures: u64,
    /// Groups of them.
    pub groups: u64,
    /// Pictures of the largest group.
    pub largest: u64,
    /// Groups that train.
    pub training: u64,
    /// Groups that set the threshold, by one picture each. The promise counts these.
    pub calibration: u64,
    /// Pictures that are not used, for others of their group say the same.
    pub left_out: u64,
}

/// A threshold set by normal images that were held out of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ThresholdReport {
    /// How many images were held out; of own pictures one of each group.
    pub images: u64,
    /// Of their scores the lowest, the lower quartile, the median, the upper quartile and the highest.
    pub quartiles: [f32; 5],
    /// Of new normal images, no more than this share is expected above the threshold.
    pub alpha: f64,
    /// Images that score above it are taken for anomalous.
    pub threshold: f32,
    /// Share of the normal test images above it; absent without anomalous images, where no others are evaluated.
    pub false_alarm_rate: Option<f64>,
    /// Share of the anomalous test images above it; absent without any.
    pub detection_rate: Option<f64>,
}

/// Reports of earlier versions know their last process only.
fn one() -> u64 {
    1
}

/// Longest report that is read, in bytes. One takes some kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// Share of a constant image's error from which on reconstructions are called constant.
const CONSTANT: f64 = 0.8;
/// Share of a constant image's error up to which a network counts as one that reconstructs.
const RECONSTRUCTS: f64 = 0.6;

impl NetworkReport {
    /// Whether its reconstructions of normal images are hardly better than a constant image: then its scores mean
    /// little, however well they part the images.
    pub fn is_constant(&self) -> bool {
        self.reconstruction_l1_normal > CONSTANT * self.blank_l1_normal
    }

    /// Whether its reconstructions of normal images are so much better than a constant image that it counts as an
    /// encoder-decoder-encoder GAN.
    pub fn reconstructs(&self) -> bool {
        self.reconstruction_l1_normal <= RECONSTRUCTS * self.blank_l1_normal
    }
}

impl Report {
    /// How long the run took, for people.
    pub fn duration(&self) -> String {
        match self.processes {
            0 | 1 => format!("{:.0} s", self.seconds_total),
            several => format!("{:.0} s by {several} processes", self.seconds_total),
        }
    }

    /// Writes the report whole, as JSON with two spaces of indent.
    ///
    /// # Errors
    /// A figure that is not finite, and a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RunError> {
        let figures = [
            ("auroc", self.auroc.unwrap_or_default()),
            ("average_precision", self.average_precision.unwrap_or_default()),
            ("reconstruction_l1_normal", self.reconstruction_l1_normal),
            ("blank_l1_normal", self.blank_l1_normal),
            ("seconds_total", self.seconds_total),
            ("seconds_per_step", self.seconds_per_step),
        ];
        if let Some((key, value)) = figures.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(RunError::NotFinite { key, value });
        }
        let fill = |mut out: &mut dyn std::io::Write| {
            serde_json::to_writer_pretty(&mut out, self)?;
            out.write_all(b"\n")
        };
        Ok(write_whole(path, fill)?)
    }

    /// Reads what [`Report::write`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or is no report.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let text = read(path, MAX_BYTES).map_err(|source| RunError::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&text)
            .map_err(|error| RunError::Damaged { path: path.to_owned(), message: error.to_string() })
    }
}

/// Most main memory that this process has held at once, in bytes; `None` where the system does not tell (Linux does).
pub fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
