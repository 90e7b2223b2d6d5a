use super::evaluate::TEACHER;
use super::{Data, Open, with_kernels};
use crate::report::{Gallery, ReportError, RunView};
use crate::run::{Report, RunFolder, Score, read_kernels};

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
