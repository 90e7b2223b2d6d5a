//! The test that every run on own pictures ends with: what each network, and simple detectors on the same pixels, find of
//! defects painted into normal images that training did not see.

use super::Data;
use crate::anomaly_map::Localization;
use crate::baselines::{Baseline, baselines};
use crate::calibration::Calibration;
use crate::config::Config;
use crate::data::{Images, at_most};
use crate::engine::Executor;
use crate::metrics::auroc;
use crate::model::{BaseScores, ScoreKind};
use crate::run::{DetectorSensitivity, FoundDefect, SensitivityReport};
use crate::sensitivity::{Defect, DefectSet};
use crate::train::{Differences, Model, SCORED_AT_ONCE, TrainError};

/// Most evaluation images that simple detectors score, spread evenly over all.
const MOST: usize = 4_000;

/// The painted images of a run, and what was found of them up to now.
pub(super) struct SensitivityTest {
    set: DefectSet,
    detectors: Vec<DetectorSensitivity>,
    alpha: f64,
}

/// What a detector says of the images of a test.
struct Verdicts<'a> {
    /// Of the normal evaluation images.
    normal: &'a [f32],
    /// Of the anomalous ones.
    anomalous: &'a [f32],
    /// Of the painted ones.
    painted: &'a [f32],
}

/// The painted images of a run on own pictures.
///
/// # Errors
/// Images that cannot be read.
pub(super) fn painted(config: &Config, data: &Data) -> Result<DefectSet, TrainError> {
    let normal: Vec<usize> = data.evaluated(true).collect();
    Ok(DefectSet::new(&data.eval.images, &normal, config.training.seed)?)
}

/// How well scores tell painted images from normal ones.
#[derive(Clone, Copy)]
pub(super) struct PaintedAuroc {
    /// Area under the ROC curve, images with a local defect.
    local: f64,
    /// The same, images that are changed as a whole.
    whole: f64,
}

impl PaintedAuroc {
    /// Of the scores of normal images and of those of a [`DefectSet`].
    ///
    /// # Errors
    /// Scores that are not finite.
    pub(super) fn new(normal: &[f32], painted: &[f32]) -> Result<Self, TrainError> {
        let of = |wanted: bool| {
            let wanted = painted.iter().zip(Defect::all().cycle()).filter(|(_, of)| of.kind.is_local() == wanted);
            let scores: Vec<f32> = wanted.map(|(score, _)| *score).collect();
            auroc(normal, &scores).map(Option::unwrap_or_default)
        };
        Ok(Self { local: of(true)?, whole: of(false)? })
    }

    /// The mean of both, as nobody knows which kind will come.
    pub(super) fn mean(self) -> f64 {
        (self.local + self.whole) / 2.0
    }
}

impl SensitivityTest {
    /// The test of a run on own pictures; none of a run on a data set, which has anomalous images, or without held-out
    /// images, which promises nothing.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub(super) fn new(config: &Config, data: &Data) -> Result<Option<Self>, TrainError> {
        if data.own.is_none() || data.split.calibration.is_empty() {
            return Ok(None);
        }
        let alpha = Calibration::new(vec![0.0; data.split.calibration.len()])?.default_alpha();
        Ok(Some(Self { set: painted(config, data)?, detectors: Vec::new(), alpha }))
    }

    /// Has a network score the painted images, by every kind of score that it has. One that is not calibrated, as a given
    /// teacher may be, is left out.
    ///
    /// # Errors
    /// Failures of the device.
    pub(super) fn network(
        &mut self,
        name: &str,
        executor: &mut dyn Executor,
        model: &Model,
        data: &Data,
    ) -> Result<(), TrainError> {
        let Some(normality) = &model.normality else { return Ok(()) };
        let of = |wanted: bool| data.evaluated(wanted).collect::<Vec<_>>();
        let indices: Vec<usize> = (0..self.set.images.count()).collect();
        let mut base = |images: &Images, indices: &[usize]| model.base_scores(executor, images, indices);
        let normal = base(&data.eval.images, &of(true))?.unwrap_or_default();
        let anomalous = base(&data.eval.images, &of(false))?.unwrap_or_default();
        let painted = base(&self.set.images, &indices)?.unwrap_or_default();
        let first = self.detectors.len();
        for kind in ScoreKind::ALL {
            let of = |base: &[BaseScores]| base.iter().map(|base| normality.score_of(kind, base)).collect::<Vec<_>>();
            let verdicts = Verdicts { normal: &of(&normal), anomalous: &of(&anomalous), painted: &of(&painted) };
            self.add(name, Some(kind), &normality.calibration(kind)?, &verdicts)?;
        }
        self.localize(executor, model, &indices, first)
    }

    /// Has the heat maps of the network whose detectors begin at `first` point at the painted defects. They are the same
    /// whatever it scores by, so they stand with its latent distance.
    fn localize(
        &mut self,
        executor: &mut dyn Executor,
        model: &Model,
        indices: &[usize],
        first: usize,
    ) -> Result<(), TrainError> {
        let (Some(scale), Some(detector)) = (&model.map_scale, self.detectors.get_mut(first)) else { return Ok(()) };
        let each = detector.defects.len();
        let (mut whole, mut by_defect) = (Localization::default(), vec![Localization::default(); each]);
        let differences = Differences::new(executor, &model.variables, &model.gan, model.statistics, SCORED_AT_ONCE)?;
        let map = |_, difference: Vec<f32>| scale.map(&difference);
        differences.each(executor, &self.set.images, indices, map, |place, map| {
            // A change of the whole image has no place.
            if self.set.defect(place).is_some_and(|defect| defect.kind.is_local()) {
                let on_defect = self.set.on_defect(place);
                whole.add(&map, Some(on_defect));
                by_defect[place % each].add(&map, Some(on_defect));
            }
        })?;
        differences.unload(executor);
        detector.localization = whole.figures();
        for (defect, counted) in detector.defects.iter_mut().zip(&by_defect) {
            defect.localization = counted.figures();
        }
        Ok(())
    }

    /// Has the simple detectors do the same, and gives the report.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub(super) fn report(mut self, data: &Data) -> Result<SensitivityReport, TrainError> {
        let of = |wanted: bool| at_most(&data.evaluated(wanted).collect::<Vec<_>>(), MOST);
        let (normal, anomalous) = (of(true), of(false));
        let painted: Vec<usize> = (0..self.set.images.count()).collect();
        for baseline in baselines(&data.train.images, &data.split.train)? {
            let baseline: &dyn Baseline = baseline.as_ref();
            let calibration = Calibration::new(baseline.scores(&data.train.images, &data.split.calibration)?)?;
            let verdicts = Verdicts {
                normal: &baseline.scores(&data.eval.images, &normal)?,
                anomalous: &baseline.scores(&data.eval.images, &anomalous)?,
                painted: &baseline.scores(&self.set.images, &painted)?,
            };
            self.add(baseline.name(), None, &calibration, &verdicts)?;
        }
        Ok(SensitivityReport { images: self.set.normal.len() as u64, alpha: self.alpha, detectors: self.detectors })
    }

    fn add(
        &mut self,
        name: &str,
        score: Option<ScoreKind>,
        calibration: &Calibration,
        verdicts: &Verdicts,
    ) -> Result<(), TrainError> {
        let &Verdicts { normal, anomalous, painted } = verdicts;
        let p_values = painted.iter().map(|&score| calibration.p_value(score)).collect::<Result<Vec<_>, _>>()?;
        let share = |places: &mut dyn Iterator<Item = usize>| {
            let (found, count) = places
                .fold((0, 0), |(found, count), place| (found + usize::from(p_values[place] <= self.alpha), count + 1));
            found as f64 / f64::from(count.max(1))
        };
        let each = Defect::all().count();
        let defects = Defect::all().enumerate().map(|(place, Defect { kind, size, contrast })| FoundDefect {
            kind,
            size,
            contrast,
            found: share(&mut (place..painted.len()).step_by(each)),
            localization: None,
        });
        let defects = defects.collect();
        let found = share(&mut (0..painted.len()));
        let area = PaintedAuroc::new(normal, painted)?;
        self.detectors.push(DetectorSensitivity {
            detector: name.into(),
            score,
            auroc: area.mean(),
            local_auroc: Some(area.local),
            whole_auroc: Some(area.whole),
            found,
            anomalies_auroc: auroc(normal, anomalous)?,
            localization: None,
            defects,
        });
        Ok(())
    }
}
