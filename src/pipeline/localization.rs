//! How well the heat maps of a run's networks point at defects whose masks are known.

use super::Data;
use crate::anomaly_map::Localization;
use crate::config::Config;
use crate::data::{GroundTruth, MemoryBudget};
use crate::engine::Executor;
use crate::files::text_of;
use crate::message::shortened;
use crate::run::{LocalizationReport, NetworkLocalization, UnusedFile};
use crate::train::{Differences, Model, SCORED_AT_ONCE, TrainError};

/// Most files that a report lists.
const LISTED: usize = 100;

/// The masks of the pictures that are evaluated, and what maps made of them up to now.
pub struct LocalizationTest {
    truth: GroundTruth,
    /// Places of `truth` that count.
    places: Vec<usize>,
    /// The picture of each of these.
    indices: Vec<usize>,
    networks: Vec<NetworkLocalization>,
}

impl LocalizationTest {
    /// The test of a run on own pictures that have masks; none of others.
    pub fn new(config: &Config, data: &Data) -> Option<Self> {
        let (own, images) = (data.own.as_ref()?, config.data.images.as_ref()?);
        let anomalous = |index: usize| data.eval.labels[index] != data.split.normal;
        let pictures = data.split.test.iter().map(|&index| (own.eval_paths[index].clone(), anomalous(index)));
        let pictures: Vec<_> = pictures.collect();
        let budget = MemoryBudget::of_machine();
        let truth = GroundTruth::read(&images.anomalies, &pictures, &config.preprocessing(), &budget)?;
        let counts = truth.places.iter().enumerate().filter(|(_, known)| known.is_some());
        let (places, indices) = counts.map(|(place, _)| (place, data.split.test[place])).unzip();
        Some(Self { truth, places, indices, networks: Vec::new() })
    }

    /// Has the heat maps of a network point at the defects. One without a scale is left out.
    ///
    /// # Errors
    /// Failures of the device.
    pub fn network(
        &mut self,
        name: &str,
        executor: &mut dyn Executor,
        model: &Model,
        data: &Data,
    ) -> Result<(), TrainError> {
        let Some(scale) = model.map_scale.as_ref().filter(|_| self.truth.masked() > 0) else { return Ok(()) };
        let Self { truth, places, indices, networks } = self;
        let known = |nth: usize| truth.places.get(places[nth]).and_then(Option::as_ref);
        let map = |place: usize, difference: Vec<f32>| match known(place) {
            Some(known) => scale.map_within(&difference, known.placement.corner, known.placement.filled),
            None => Vec::new(),
        };
        let mut counted = Localization::default();
        let differences = Differences::new(executor, &model.variables, &model.gan, model.statistics, SCORED_AT_ONCE)?;
        differences.each(executor, &data.eval.images, indices, map, |place, map| {
            counted.add(&map, known(place).and_then(|known| known.on_defect.as_deref()));
        })?;
        differences.unload(executor);
        let figures = counted.figures();
        networks.extend(figures.map(|figures| NetworkLocalization { network: name.into(), figures }));
        Ok(())
    }

    /// What came of it.
    pub fn report(self) -> LocalizationReport {
        let masks = self.truth.masked();
        let listed = self.truth.unusable.iter().take(LISTED).map(|(path, why)| UnusedFile {
            path: shortened(&text_of(path)).into_owned(),
            why: shortened(why).into_owned(),
        });
        LocalizationReport {
            masks: masks as u64,
            normal: (self.truth.places.iter().flatten().count() - masks) as u64,
            unusable: self.truth.unusable.len() as u64,
            listed: listed.collect(),
            networks: self.networks,
        }
    }
}
