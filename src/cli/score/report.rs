//! `--report`: keeps the most anomalous pictures, and writes the page that shows them.

use std::path::Path;

use anyhow::Context;
use pkdgan::engine::Cpu;
use pkdgan::model::ModelFile;
use pkdgan::unstable::report::{RankedPicture, ScoredPictures};
use pkdgan::unstable::run::{Given, RunFile, read_references};
use pkdgan::unstable::stream::{Picture, Seen};

use super::writer::Tally;
use crate::cli::verdict::Decision;

/// Pictures on the page.
const SHOWN: usize = 24;

/// The pictures with the highest scores, the highest first.
#[derive(Default)]
pub(super) struct Most {
    kept: Vec<RankedPicture>,
}

impl Most {
    /// Keeps a picture if it is one of them. Of equal ones the first counts.
    pub(super) fn add(&mut self, picture: Picture, seen: Seen, score: f32, decision: Decision) {
        let place = self.kept.partition_point(|kept| kept.score >= score);
        if place < SHOWN {
            self.kept.truncate(SHOWN - 1);
            let (p_value, verdict) = (decision.p_value, decision.verdict());
            self.kept.insert(place, RankedPicture { picture, score, p_value, verdict, seen });
        }
    }

    /// Writes the page.
    pub(super) fn write(
        &self,
        page: &Given,
        model: &ModelFile,
        path: &Path,
        tally: &Tally,
        alpha: Option<f64>,
    ) -> anyhow::Result<()> {
        let file = path.with_file_name(RunFile::References.name());
        let references = if file.is_file() { read_references(&file)? } else { Vec::new() };
        let shown = ScoredPictures {
            model,
            name: &path.display().to_string(),
            scored: tally.scored,
            anomalous: tally.anomalous,
            failed: tally.failed,
            alpha,
            most: &self.kept,
            references: &references,
        };
        let text = shown.page(&mut Cpu::new()).context("the page of --report")?;
        Ok(page.write(|out| out.write_all(text.as_bytes()))?)
    }
}
