//! The page of a run, from its folder and its data.

use super::devices::RunDevices;
use super::evaluate::TEACHER;
use super::sensitivity::painted;
use super::{Data, Devices, Plan};
use crate::config::Config;
use crate::model::ModelFile;
use crate::report::{Gallery, ReportError, RunView};
use crate::run::{Report, RunFile, RunFolder, Score};
use crate::train::TrainError;

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
    devices: &dyn Devices,
) -> Result<String, ReportError> {
    let mut run = RunView::new(folder, report.clone(), scores.to_vec())?;
    if let Some(scores) = teacher {
        run.add_scores(TEACHER, scores);
    }
    let config = Config::read(&folder.file(RunFile::Config))?;
    for path in [RunFile::Teacher, RunFile::Model].map(|file| folder.file(file)).iter().filter(|path| path.exists()) {
        let model = ModelFile::read(path).map_err(TrainError::from)?;
        config.check_images_of(&model).map_err(TrainError::from)?;
    }
    let result = Plan::new(&config).result;
    let devices = RunDevices::new(devices, folder)?;
    let painted = report.sensitivity.is_some().then(|| painted(&config, data)).transpose()?;
    let gallery = Gallery { images: &data.eval, paths: data.paths(), open: &|| devices.open(result) };
    crate::report::page(folder, &run, gallery, painted.as_ref())
}
