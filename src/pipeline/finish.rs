//! Writes scores, page and report of a run that is trained. The report comes last: with it a run is done.

use super::{Data, Devices, Evaluated, page};
use crate::config::Config;
use crate::report::ReportError;
use crate::run::{
    FilesReport, Processes, Report, RunFile, RunFolder, Score, peak_rss_bytes, read_kernels, write_picture_scores,
    write_references, write_scores, write_whole,
};
use crate::train::TrainError;
use crate::version;

/// Writes the scores, the page and, last, the report of a run, whose time counts from [`RunFolder::begin_process`] on.
///
/// # Errors
/// A run without networks, figures that are not finite, failures of the device, and files that cannot be written.
pub fn finish(
    config: &Config,
    folder: &RunFolder,
    data: &Data,
    devices: &dyn Devices,
    evaluated: Evaluated,
) -> Result<Report, ReportError> {
    let Evaluated { networks, scores, teacher, sensitivity, localization, adapter } = evaluated;
    let none = || TrainError::Settings(format!("{}: the run has no network to report", folder.path().display()));
    let (result, adapter) = networks.last().zip(adapter).ok_or_else(none)?;
    // The page needs the configuration.
    folder.keep()?;
    let Processes { processes, seconds } = folder.processes().unwrap_or_default();
    let report = Report {
        auroc: result.auroc,
        average_precision: result.average_precision,
        reconstruction_l1_normal: result.reconstruction_l1_normal,
        blank_l1_normal: result.blank_l1_normal,
        seconds_total: seconds,
        processes,
        seconds_per_step: result.seconds.unwrap_or_default() / result.steps as f64,
        steps: result.steps,
        batch_size: result.batch_size,
        seed: config.training.seed,
        adapter: adapter.name,
        backend: adapter.backend,
        driver: adapter.driver,
        tuned_kernels: read_kernels(folder)?.len() as u64,
        version: version::VERSION.into(),
        build: version::BUILD.into(),
        macs: result.macs,
        params: result.params,
        peak_rss_bytes: peak_rss_bytes(),
        dataset: config.data.dataset,
        normal: config.data.normal,
        groups: data.groups(config),
        files: data.own.as_ref().map(|own| FilesReport::new(&own.left_out, &own.noted)),
        sensitivity,
        localization,
        networks,
    };
    let write = |file, scores: &[Score]| match &data.own {
        Some(own) => write_picture_scores(&folder.file(file), scores, &own.eval_paths),
        None => write_scores(&folder.file(file), scores),
    };
    write(RunFile::Scores, &scores)?;
    teacher.as_deref().map_or(Ok(()), |scores| write(RunFile::TeacherScores, scores))?;
    if let Some(own) = &data.own {
        write_references(&folder.file(RunFile::References), &own.references)?;
    }
    let page = page(folder, &report, &scores, teacher.as_deref(), data, devices)?;
    write_whole(&folder.file(RunFile::Page), |out| out.write_all(page.as_bytes()))?;
    report.write(&folder.file(RunFile::Report))?;
    Ok(report)
}
