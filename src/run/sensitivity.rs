//! What a run found of defects painted into normal images, in `report.json`.

use serde::{Deserialize, Serialize};

use crate::anomaly_map::LocalizationFigures;
use crate::score_kind::ScoreKind;
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
    /// What a network scores by; absent for a simple detector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<ScoreKind>,
    /// Area under the ROC curve, in [0, 1]: painted images against the normal ones of the evaluation. It is the mean of the
    /// next two. In reports of earlier versions, which have none of them, it is over local defects.
    pub auroc: f64,
    /// The same of images with a local defect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_auroc: Option<f64>,
    /// The same of images that are changed as a whole: turned, moved, lighter or darker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_auroc: Option<f64>,
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

/// What the teacher is called.
const TEACHER: &str = "teacher";

/// An AUROC must be higher by so much before it is called better.
pub(crate) const BETTER: f64 = 0.005;

impl SensitivityReport {
    /// What a network found by a kind of score.
    pub fn of(&self, network: &str, score: ScoreKind) -> Option<&DetectorSensitivity> {
        // Earlier versions knew one kind, and did not name it.
        self.detectors.iter().find(|of| of.detector == network && of.score.unwrap_or_default() == score)
    }

    /// What a user must know: each detector that tells anomalous images better than the result does, or painted defects
    /// where there are none, and by how much. The result is a network with its kind of score. Of the others only the
    /// teacher, at its best, is held against it.
    pub fn better_detectors(&self, result: &str, score: ScoreKind) -> Vec<String> {
        let Some(own) = self.of(result, score) else { return Vec::new() };
        // Painted defects are no match for real ones.
        let real = own.anomalies_auroc.is_some();
        let area = |of: &DetectorSensitivity| if real { of.anomalies_auroc.unwrap_or_default() } else { of.auroc };
        let best = |of: &dyn Fn(&DetectorSensitivity) -> bool| {
            self.detectors.iter().filter(|other| of(other)).max_by(|a, b| area(a).total_cmp(&area(b)))
        };
        let others = [
            best(&|other| other.detector == "nearest-neighbour").map(|of| (of, "a nearest neighbour on pixels".into())),
            best(&|other| other.detector == "pca").map(|of| (of, "PCA on pixels".into())),
            best(&|other| other.detector == TEACHER && result != TEACHER).map(|of| (of, format!("the {}", of.name()))),
            best(&|other| other.detector == result).map(|of| (of, format!("the {}", of.name()))),
        ];
        let on = if real { "the anomalous images" } else { "painted defects" };
        let better = others.into_iter().flatten().filter(|(other, _)| area(other) > area(own) + BETTER);
        let text = |(other, name): (&DetectorSensitivity, String)| {
            let (ours, theirs) = (area(own), area(other));
            format!("{name} does better than the {} on {on}, AUROC {theirs:.4} to {ours:.4}", own.name())
        };
        better.map(text).collect()
    }
}

impl DetectorSensitivity {
    /// What a person calls it: `student`, or `student by features`.
    pub fn name(&self) -> String {
        match self.score {
            None | Some(ScoreKind::Latent) => self.detector.clone(),
            Some(score) => format!("{} by {score}", self.detector),
        }
    }

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
