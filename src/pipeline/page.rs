use super::evaluate::TEACHER;
use super::{Data, Open, with_kernels};
use crate::report::{Gallery, ReportError, RunView};
use crate::run::{Report, RunFile, RunFolder, Score, read_kernels};
use crate::train::{Evaluation, Model, TrainError};

/// The page of a run with these figures and scores of its result, and of its teacher where they are known.
///
/// # Errors
/// Files that are missing or damaged, scores of other images than the data's, and failures of the device.
pub fn page(
    folder: &RunFolder,
    report: &Report,
    scores: &[Score],
    teacher: Option<&[Score]>,
    data: &Data,
    open: &Open,
) -> Result<String, ReportError> {
    let mut run = RunView::new(folder, report.clone(), scores.to_vec())?;
    if let Some(scores) = teacher {
        run.add_scores(TEACHER, scores);
    }
    let open = &with_kernels(open, read_kernels(folder)?);
    crate::report::page(folder, &run, Gallery { images: &data.judge, open })
}

/// Scores the images that judge a run with its teacher, where it has one beside its result; the folder does not keep
/// those scores. `progress` hears how many images are done.
///
/// # Errors
/// A teacher that is damaged, and failures of the device.
pub fn score_teacher(
    folder: &RunFolder,
    report: &Report,
    data: &Data,
    open: &Open,
    progress: impl FnMut(usize),
) -> Result<Option<Vec<Score>>, TrainError> {
    let [teacher, ..] = &report.networks[..] else { return Ok(None) };
    if report.networks.len() < 2 || teacher.network != TEACHER {
        return Ok(None);
    }
    let mut opened = with_kernels(open, read_kernels(folder)?)()?;
    let executor = opened.as_mut();
    let model = Model::load(&folder.file(RunFile::Teacher), executor)?;
    Ok(Some(Evaluation::run(executor, &model, &data.judge, &data.split, progress)?.scores))
}
