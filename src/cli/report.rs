//! `pkdgan report`: makes the page of a run anew, or compares runs. The pages are `report/`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use pkdgan::config::Config;
use pkdgan::unstable::pipeline::{self, Data, Devices};
use pkdgan::unstable::report::{Gallery, RunView, comparison, open_done};
use pkdgan::unstable::run::{Given, Report, RunFile, RunFolder, read_scores, write_whole};

use super::console::Console;
use super::device::Device;
use super::moved::Moved;

/// Arguments of `pkdgan report`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Folders that `pkdgan train` wrote; several are compared in one page
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write, or `-` for standard output [default: report.html in the run's folder; comparison.html in the working
    /// folder for several]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder that holds the data sets [default: as for the run]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    moved: Moved,
    #[command(flatten)]
    device: Device,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  pkdgan report runs/mnist-8-default-seed0          make its report.html anew
  pkdgan report runs/a runs/b --out both.html       compare two runs in one page

The page opens from disk and asks no network for anything. What it shows of images is computed from the networks and
the data set that the run was evaluated on, which must be there.";

/// Makes the page of a run anew, or compares several.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::new(arguments.quiet);
    let folders = arguments.runs.iter().map(|path| open_done(path)).collect::<Result<Vec<_>, _>>()?;
    let given = |out: &Path| {
        let used = [RunFile::Report, RunFile::Scores, RunFile::TeacherScores, RunFile::Config, RunFile::Metrics];
        let used = folders.iter().flat_map(|folder| used.map(|file| folder.file(file)));
        let inputs: Vec<PathBuf> = used.collect();
        Given::new(out, inputs.iter().map(PathBuf::as_path))
    };
    // Refused before the work, not after.
    let chosen = arguments.out.as_deref().map(given).transpose()?;
    let (page, out) = match &folders[..] {
        [folder] => (arguments.single(folder, &console)?, folder.file(RunFile::Page)),
        several => (arguments.comparison(several, &console)?, PathBuf::from("comparison.html")),
    };
    let out = arguments.out.clone().unwrap_or(out);
    let write = |file: &mut dyn std::io::Write| file.write_all(page.as_bytes());
    match chosen {
        Some(given) => given.write(write)?,
        // The run's own.
        None => write_whole(&out, write)?,
    }
    console.say(format!("written: {} ({} kB)", out.display(), page.len() / 1000));
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn single(&self, folder: &RunFolder, console: &Console) -> anyhow::Result<String> {
        let report = Report::read(&folder.file(RunFile::Report))?;
        let scores = read_scores(&folder.file(RunFile::Scores))?;
        let data = self.data(folder, console)?;
        console.say(self.device.open_first()?.describe("scoring"));
        let teacher = folder.file(RunFile::TeacherScores);
        let teacher = teacher.exists().then(|| read_scores(&teacher)).transpose()?;
        Ok(pipeline::page(folder, &report, &scores, teacher.as_deref(), &data, &self.device)?)
    }

    fn comparison(&self, folders: &[RunFolder], console: &Console) -> anyhow::Result<String> {
        let mut runs = folders.iter().map(RunView::read).collect::<Result<Vec<_>, _>>()?;
        RunView::tell_apart(&mut runs, folders);
        if !RunView::evaluated_alike(&runs) {
            console.say("the runs are evaluated on different images, so no reconstructions are compared");
            return Ok(comparison(folders, &runs, None)?);
        }
        let data = self.data(&folders[0], console)?;
        console.say(self.device.open_first()?.describe("scoring"));
        let open = || self.device.open(None);
        Ok(comparison(folders, &runs, Some(Gallery { images: &data.eval, paths: data.paths(), open: &open }))?)
    }

    /// The evaluation images of a run.
    fn data(&self, folder: &RunFolder, console: &Console) -> anyhow::Result<Data> {
        let mut config = Config::read(&folder.file(RunFile::Config))?;
        if let Some(folder) = &self.data_dir {
            config.data.folder.clone_from(folder);
        }
        self.moved.put(&mut config)?;
        let missing = || format!("{}: its page shows images, which need its data set", folder.path().display());
        console.load(&config).with_context(missing)
    }
}
