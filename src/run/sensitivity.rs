//! What a run found of defects painted into normal images, in `report.json`.

use serde::{Deserialize, Serialize};

use crate::anomaly_map::LocalizationFigures;
use crate::sensitivity::{Contrast, Kind, Size};

/// What was found of defects painted into held-out normal images, by each network and by simple detectors on the same
/// pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensitivityReport {
    /// Normal images that every defect was painted into.
    pub images: u64,
    /// The false-alarm rate at which defects were found.
    pub alpha: f64,
    /// The networks in their order, then the simple detectors.
    pub detectors: Vec<DetectorSensitivity>,
}

/// What one detector found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectorSensitivity {
    /// The network's name, `nearest-neighbour` or `pca`.
    pub detector: String,
    /// Area under the ROC curve, in [0, 1]: painted images against the normal ones of the evaluation.
    pub auroc: f64,
    /// Share of the painted images with a p-value of at most `alpha`.
    pub found: f64,
    /// Area under the ROC curve on the evaluation images, in [0, 1]; absent without anomalous images.
    pub anomalies_auroc: Option<f64>,
    /// How well its heat maps point at the painted defects; absent of simple detectors, of networks without a scale, and in
    /// reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localization: Option<LocalizationFigures>,
    /// The same by defect.
    pub defects: Vec<FoundDefect>,
}

/// How many of a defect were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundDefect {
    /// What it is.
    pub kind: Kind,
    /// How large it is.
    pub size: Size,
    /// How well it shows.
    pub contrast: Contrast,
    /// Share of the images with it that have a p-value of at most `alpha`.
    pub found: f64,
    /// How well heat maps point at it; absent where the detector has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localization: Option<LocalizationFigures>,
}

/// An AUROC must be higher by so much before it is called better.
const BETTER: f64 = 0.005;

impl SensitivityReport {
    /// What a user must know: each detector that tells anomalous images better than the result does, or painted defects
    /// where there are none, and by how much. Of the networks only the teacher is held against it.
    pub fn better_detectors(&self, result: &str) -> Vec<String> {
        let Some(own) = self.detectors.iter().find(|detector| detector.detector == result) else {
            return Vec::new();
        };
        let passing = |name: &str| name.starts_with("student") || name == "teacher-joint" || name == own.detector;
        let others = self.detectors.iter().filter(|other| !passing(&other.detector));
        let better = others.filter_map(|other| {
            // Painted defects are no match for real ones.
            let (on, ours, theirs) = match (own.anomalies_auroc, other.anomalies_auroc) {
                (Some(ours), Some(theirs)) => ("the anomalous images", ours, theirs),
                _ => ("painted defects", own.auroc, other.auroc),
            };
            let name = match other.detector.as_str() {
                "nearest-neighbour" => "a nearest neighbour on pixels",
                "pca" => "PCA on pixels",
                _ => "the teacher",
            };
            let network = &own.detector;
            let text = format!("{name} does better than the {network} on {on}, AUROC {theirs:.4} to {ours:.4}");
            (theirs > ours + BETTER).then_some(text)
        });
        better.collect()
    }
}

impl DetectorSensitivity {
    /// The mean share found of a kind and size, over both contrasts.
    pub fn found_of(&self, kind: Kind, size: Size) -> f64 {
        self.mean_of(kind, size, |defect| Some(defect.found)).unwrap_or_default()
    }

    /// The mean of a figure of a kind and size, over both contrasts; none where there is none.
    pub fn mean_of(&self, kind: Kind, size: Size, figure: impl Fn(&FoundDefect) -> Option<f64>) -> Option<f64> {
        let of = self.defects.iter().filter(|defect| defect.kind == kind && defect.size == size);
        let (sum, count) = of.filter_map(figure).fold((0.0, 0.0), |(sum, count), figure| (sum + figure, count + 1.0));
        (count > 0.0).then(|| sum / count)
    }
}
