//! The page of pictures that were scored: the most anomalous ones, where they are unusual, and the training pictures that are
//! most like them.

use std::path::{Path, PathBuf};

use askama::Template;

use super::gallery::NamedFile;
use super::{ReportError, pictures};
use crate::anomaly_map::difference;
use crate::calibration::percent;
use crate::data::{Images, MemoryBudget, Placement, Preprocessing, read_prepared};
use crate::engine::Executor;
use crate::model::ModelFile;
use crate::results::grouped;
use crate::stream::{Picture, Seen};
use crate::train::{Model, observe};

/// Pictures that were scored, as the page takes them.
pub struct ScoredPictures<'a> {
    /// What scored them.
    pub model: &'a ModelFile,
    /// What that is called.
    pub name: &'a str,
    /// How many have a score.
    pub scored: usize,
    /// How many of these are anomalous.
    pub anomalous: usize,
    /// How many have none.
    pub failed: usize,
    /// The promised rate of false alarms, where verdicts go by one.
    pub alpha: Option<f64>,
    /// The most anomalous ones, the highest score first.
    pub most: &'a [RankedPicture],
    /// Where the training pictures lie whose latent vectors the model keeps, in that order. If there are more or fewer, they are
    /// of another model and not shown.
    pub references: &'a [PathBuf],
}

/// One of the most anomalous pictures.
#[derive(Clone, Debug)]
pub struct RankedPicture {
    /// Its name.
    pub picture: Picture,
    /// Its score.
    pub score: f32,
    /// Its p-value, by a model that is calibrated.
    pub p_value: Option<f64>,
    /// `anomalous` or `normal`, where there is a rule for it.
    pub verdict: Option<&'static str>,
    /// What the network sees of it.
    pub seen: Seen,
}

/// A row of the page.
struct Row {
    name: String,
    /// Its file, where it has one of its own.
    link: Option<String>,
    picture: String,
    heat_map: Option<String>,
    similar: Option<Similar>,
    score: String,
    p_value: String,
    verdict: &'static str,
}

/// The training picture that is most like one.
struct Similar {
    file: NamedFile,
    /// None where the file is gone.
    picture: Option<String>,
    distance: String,
}

#[derive(Template)]
#[template(path = "scored.html")]
struct ScoredPage<'a> {
    title: String,
    name: &'a str,
    score: String,
    scored: String,
    anomalous: String,
    failed: String,
    /// The rate, and how many pictures it is, all of them being normal.
    alpha: Option<(String, String)>,
    has_maps: bool,
    has_similar: bool,
    rows: Vec<Row>,
}

impl ScoredPictures<'_> {
    /// The page. The networks go on `executor`, which holds no others.
    ///
    /// # Errors
    /// Tensors that do not go with the architecture, and failures of the executor.
    pub fn page(&self, executor: &mut dyn Executor) -> Result<String, ReportError> {
        let preprocessing = self.model.preprocessing;
        let model = Model::place(self.model.clone(), executor)?;
        let rows = self.rows(&model, &preprocessing, executor)?;
        let page = ScoredPage {
            title: "Pictures scored".into(),
            name: self.name,
            score: model.score.to_string(),
            scored: grouped(self.scored as u64),
            anomalous: grouped(self.anomalous as u64),
            failed: grouped(self.failed as u64),
            alpha: self.alpha.map(|alpha| (percent(alpha), format!("{:.1}", alpha * self.scored as f64))),
            has_maps: rows.iter().any(|row| row.heat_map.is_some()),
            has_similar: rows.iter().any(|row| row.similar.is_some()),
            rows,
        };
        Ok(page.render()?)
    }

    fn rows(
        &self,
        model: &Model,
        preprocessing: &Preprocessing,
        executor: &mut dyn Executor,
    ) -> Result<Vec<Row>, ReportError> {
        let &Preprocessing { channels, height, width, side, .. } = preprocessing;
        let pixels: Vec<u8> = self.most.iter().flat_map(|ranked| ranked.seen.pixels.iter().copied()).collect();
        let images = Images::new(self.most.len(), channels, height, width, pixels)?;
        let mut made = Vec::new();
        let networks = (&model.variables, &model.gan, model.statistics);
        let indices: Vec<usize> = (0..self.most.len()).collect();
        observe(executor, networks, &images, &indices, |seen| {
            let Seen { pixels, size } = &self.most[made.len()].seen;
            let map = model.map_scale.as_ref().map(|scale| {
                let Placement { corner, filled, .. } = Placement::new(preprocessing, *size);
                let difference = difference(pixels, seen.reconstruction, scale.size(), side);
                (scale.map_within(&difference, corner, filled), scale.level())
            });
            made.push((map, model.normality.as_ref().and_then(|normality| normality.nearest(seen.latent))));
        })?;
        let memory = MemoryBudget::of_machine();
        let fitted = model.normality.as_ref().map_or(0, |normality| normality.fitted());
        let references = if self.references.len() == fitted { self.references } else { &[] };
        let rows = self.most.iter().zip(made).map(|(ranked, (map, nearest))| {
            let seen = &ranked.seen.pixels;
            let heat_map = map.map(|(map, level)| pictures::under_heat(seen, channels, &map, width, level));
            let similar = nearest.and_then(|(place, distance)| {
                let path = references.get(place)?;
                let read = read_prepared(path, preprocessing, true, false, &memory);
                let picture = read.ok().and_then(|read| pictures::planes(&read.pixels, channels, width).ok());
                Some(Similar { file: NamedFile::new(path)?, picture, distance: format!("{distance:.3}") })
            });
            Ok(Row {
                name: ranked.picture.to_string(),
                link: file_of(&ranked.picture).and_then(NamedFile::new).map(|file| file.link),
                picture: pictures::planes(seen, channels, width)?,
                heat_map: heat_map.transpose()?,
                similar,
                score: format!("{:.4}", ranked.score),
                p_value: ranked.p_value.map_or_else(|| "–".into(), |p_value| format!("{p_value:.4}")),
                verdict: ranked.verdict.unwrap_or("–"),
            })
        });
        rows.collect()
    }
}

/// The file of a picture that has one of its own.
fn file_of(picture: &Picture) -> Option<&Path> {
    (picture.index.is_none() && &*picture.file != Path::new("-")).then_some(&picture.file)
}
