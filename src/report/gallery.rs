//! The pictures that a page shows: the ends of the ranking, and what networks make of some images.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::view::RunView;
use super::{Open, ReportError, pictures};
use crate::data::{Images, LabelledImages};
use crate::run::Score;
use crate::train::{Model, reconstruct};

/// Images at each end of the ranking.
const ENDS: usize = 32;
/// Images of each kind that are shown with their reconstructions.
const ROWS: usize = 6;

/// A picture's file.
pub(super) struct NamedFile {
    /// Its name, without folders.
    pub name: String,
    /// Where it lies, for a link.
    pub link: String,
}

impl NamedFile {
    /// None of a path without a name.
    pub(super) fn new(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Some(Self { name, link: link(&absolute) })
    }
}

/// An image with its score.
pub(super) struct Example {
    /// The picture.
    pub uri: String,
    /// What it shows and where it stands, for who cannot see it.
    pub alt: String,
    /// Its score.
    pub score: String,
    /// Its class.
    pub class: String,
    /// Its file, where it has one of its own.
    pub file: Option<NamedFile>,
    /// Whether it stands at the wrong end.
    pub wrong: bool,
}

/// The two ends of the ranking.
pub(super) struct Ends {
    /// Lowest score first.
    pub normal: Vec<Example>,
    /// Highest score first.
    pub anomalous: Vec<Example>,
}

/// Images beside what networks make of them.
pub(super) struct Grid {
    /// The networks, in the order of the columns.
    pub networks: Vec<String>,
    /// Normal images, then anomalous ones, each with a heading.
    pub parts: Vec<(String, Vec<Row>)>,
}

/// An image beside what each network makes of it.
pub(super) struct Row {
    /// Its class.
    pub class: String,
    /// Its place among the images.
    pub index: usize,
    /// Its file, where it has one of its own.
    pub file: Option<NamedFile>,
    /// The picture.
    pub input: String,
    /// By network.
    pub made: Vec<Made>,
}

/// What a network makes of an image.
pub(super) struct Made {
    /// The reconstruction.
    pub reconstruction: String,
    /// What it adds and loses.
    pub difference: String,
    /// The score.
    pub score: String,
}

/// The evaluation images of a run, as the page takes them.
#[derive(Clone, Copy)]
pub struct Gallery<'a> {
    /// All images that the scores may point to.
    pub images: &'a LabelledImages,
    /// Where each lies, where each has a file of its own.
    pub paths: Option<&'a [PathBuf]>,
    /// Opens a device anew: each network has one of its own.
    pub open: &'a Open<'a>,
}

impl Gallery<'_> {
    /// The images with the lowest and the highest scores.
    pub(super) fn ends(&self, run: &RunView) -> Result<Ends, ReportError> {
        let ranked = ranked(&run.scores);
        let example = |score: &Score, wrong_kind: bool| -> Result<Example, ReportError> {
            let class = run.class(score.label);
            let text = decimals(score.score);
            let alt = format!("image {}, {class}, score {text}", score.index);
            let uri = pictures::read(&self.images.images, score.index as usize)?;
            let wrong = run.has_anomalies() && run.is_normal(score.label) == wrong_kind;
            Ok(Example { uri, alt, score: text, class, file: self.file(score.index as usize), wrong })
        };
        let normal = ranked.iter().take(ENDS).map(|score| example(score, false));
        let anomalous = ranked.iter().rev().take(ENDS).map(|score| example(score, true));
        Ok(Ends { normal: normal.collect::<Result<_, _>>()?, anomalous: anomalous.collect::<Result<_, _>>()? })
    }

    /// Some normal and some anomalous images of a run, evenly spread over its ranking, beside what the networks in
    /// these files make of them.
    pub(super) fn grid(&self, run: &RunView, networks: &[(String, PathBuf)]) -> Result<Grid, ReportError> {
        let (images, side) = (&self.images.images, run.config.data.side);
        let ranked = ranked(&run.scores);
        let kinds = [true, false].map(|normal| {
            let kind: Vec<Score> =
                ranked.iter().filter(|score| run.is_normal(score.label) == normal).copied().collect();
            spread(&kind)
        });
        let indices: Vec<usize> = kinds.iter().flatten().map(|score| score.index as usize).collect();
        let made = networks.iter().map(|(_, path)| self.made(path, &indices)).collect::<Result<Vec<_>, _>>()?;
        let mut made: Vec<_> = made.into_iter().map(Vec::into_iter).collect();
        let mut parts = Vec::new();
        for (title, kind) in ["Normal", "Anomalous"].into_iter().zip(&kinds) {
            let rows = kind.iter().map(|score| {
                // As a network sees it, so that what is made lies at the same places.
                let input = images.to_signed_padded(&[score.index as usize], side)?;
                let input = pictures::signed(&input, images.channels(), side)?;
                let made = made.iter_mut().filter_map(Iterator::next).collect();
                let index = score.index as usize;
                Ok(Row { class: run.class(score.label), index, file: self.file(index), input, made })
            });
            let rows = rows.collect::<Result<Vec<Row>, ReportError>>()?;
            if !rows.is_empty() {
                parts.push((title.to_owned(), rows));
            }
        }
        Ok(Grid { networks: networks.iter().map(|(name, _)| name.clone()).collect(), parts })
    }

    fn file(&self, index: usize) -> Option<NamedFile> {
        NamedFile::new(self.paths?.get(index)?)
    }

    /// What the network in a file makes of images.
    fn made(&self, path: &Path, indices: &[usize]) -> Result<Vec<Made>, ReportError> {
        let mut opened = (self.open)().map_err(crate::train::TrainError::from)?;
        let executor = opened.as_mut();
        let model = Model::load(path, executor)?;
        let images: &Images = &self.images.images;
        let reconstructed = reconstruct(executor, &model, images, indices)?;
        let [channels, side, _] = model.gan.encoder1.spec.input;
        let size = channels * side * side;
        let inputs = images.to_signed_padded(indices, side).map_err(ReportError::Data)?;
        let pairs = inputs.chunks(size).zip(reconstructed.pixels.chunks(size)).zip(&reconstructed.scores);
        let made = pairs.map(|((input, reconstruction), &score)| {
            Ok(Made {
                reconstruction: pictures::signed(reconstruction, channels, side)?,
                difference: pictures::difference(input, reconstruction, side)?,
                score: decimals(score),
            })
        });
        made.collect()
    }
}

/// The address of a file: bytes that an address cannot have are written as `%20`.
fn link(path: &Path) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let mut path = percent_encode(path.as_os_str().as_encoded_bytes(), KEPT).to_string();
    if cfg!(windows) {
        path = path.replace("%5C", "/").replace("%3A", ":");
    }
    format!("file://{}{path}", if path.starts_with('/') { "" } else { "/" })
}

/// In ascending order of the score, then of the place.
fn ranked(scores: &[Score]) -> Vec<Score> {
    let mut ranked = scores.to_vec();
    ranked.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.index.cmp(&b.index)));
    ranked
}

/// A few from the first to the last, evenly.
fn spread(ranked: &[Score]) -> Vec<Score> {
    let count = ROWS.min(ranked.len());
    let last = ranked.len().saturating_sub(1);
    (0..count).map(|place| ranked[place * last / count.saturating_sub(1).max(1)]).collect()
}

fn decimals(score: f32) -> String {
    format!("{score:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_can_be_linked_to() {
        assert_eq!(link(Path::new("/a b/50%#1?.png")), "file:///a%20b/50%25%231%3F.png");
        assert_eq!(link(Path::new("/zwölf/\"x\".png")), "file:///zw%C3%B6lf/%22x%22.png");
    }
}
