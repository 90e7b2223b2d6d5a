//! `pkdgan reproduce`: the grid that the flags describe, run and written. What a grid is stands in `reproduce/`.

mod jobs;
mod list;
mod watch;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use pkdgan::config::{Config, ConfigError, Structure};
use pkdgan::data::Dataset;
use pkdgan::unstable::reproduce::{
    self as grid, BatchSizes, Cell, Compression, Constraints, Grid, Outcome, Output, Pair, Scope, Studied, Survey,
};
use pkdgan::unstable::results::{Rows, ScoreStudy, Study as _, Table};
use pkdgan::unstable::shard::Shard;

use self::list::{List, print_cells, print_status};
use self::watch::GridWatcher;
use super::console::{Console, Show, stop_on_interrupt};
use super::device::Device;
use super::settings::{Base, quoted};
use crate::cli::output;

/// Arguments of `pkdgan reproduce`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Data set; repeatable
    #[arg(long, value_name = "NAME", default_value = "mnist", help_heading = "Grid")]
    dataset: Vec<Dataset>,
    /// Normal classes, as `0-9` or `0,1,4`
    #[arg(long, value_name = "CLASSES", default_value = "0-9", help_heading = "Grid")]
    classes: List<u8>,
    /// Seeds, as `0,1` or `0-4`
    #[arg(long, value_name = "SEEDS", default_value = "0,1", help_heading = "Grid")]
    seeds: List<u64>,
    /// Which networks to train: teachers only, students by themselves only, or all
    #[arg(long, value_name = "NETWORKS", default_value = "all", help_heading = "Grid")]
    networks: Networks,
    /// Structures of the two steps of distillation, as `1+4,1+2`; `1` leaves the second step out [default: those of
    /// the settings]
    #[arg(long, value_name = "PAIRS", value_delimiter = ',', help_heading = "Grid")]
    structures: Vec<Pair>,
    /// Leave out the student by itself, and so the gain of distillation
    #[arg(long, help_heading = "Grid")]
    without_baseline: bool,
    /// What to study, each with a page and a plot
    #[arg(long, value_name = "STUDY", help_heading = "Study")]
    study: Option<Study>,
    /// Which network's batch size is studied: the teacher's, or that of the student by itself [default: teacher]
    #[arg(long, value_name = "NETWORK", help_heading = "Study")]
    network: Option<Network>,
    /// Batch sizes to study [default: 1,2,4,8,16,32,64]
    #[arg(long, value_name = "SIZES", help_heading = "Study")]
    batch_sizes: Option<List<u64>>,
    /// Student's channels to study, in shares of those of the settings [default: 0.25,0.5,1,2,4]
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = width, help_heading = "Study")]
    widths: Vec<f64>,
    /// Images that every network sees in the series of equal images seen [default: those of the settings]
    #[arg(long, value_name = "N", help_heading = "Study")]
    images_seen: Option<u64>,
    /// Steps of every network in the series of equal steps [default: those of the settings]
    #[arg(long, value_name = "N", help_heading = "Study")]
    equal_steps: Option<u64>,
    #[command(flatten)]
    base: Base,
    #[command(flatten)]
    device: Device,
    /// Name of the results [default: by data sets and study]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    name: Option<String>,
    /// Folder of results: tables and studies go to a folder in it
    #[arg(long, value_name = "DIR", default_value = "results", help_heading = "Output")]
    results: PathBuf,
    /// Folder of runs: each cell of the grid is a run folder in it
    #[arg(long, value_name = "DIR", default_value = "runs/reproduce", help_heading = "Output")]
    runs: PathBuf,
    /// Train in so many processes at once, each with its share of the cores; where several adapters are named, they take
    /// turns at those [default: 1, or as many as there are adapters named]
    #[arg(long, value_name = "N", help_heading = "Processes")]
    jobs: Option<NonZeroUsize>,
    /// Train the I-th of N parts of the grid only, as 1/4; processes on other computers train the others into the same
    /// folders
    #[arg(long, value_name = "I/N", help_heading = "Processes")]
    shard: Option<Shard>,
    /// Say which cells are done, running and failed, and how much work is left; train nothing
    #[arg(long, conflicts_with = "dry_run", help_heading = "Processes")]
    status: bool,
    /// One of the processes that --jobs starts, from 0
    #[arg(long, hide = true)]
    worker: Option<usize>,
    /// List the cells of the grid, which of them are done, and their settings; train nothing
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    /// How progress is shown, on stderr
    #[arg(long, value_name = "HOW", default_value = "auto", help_heading = "Output")]
    progress: Show,
    /// Print results only
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
    /// Print the rows, one for each network, as JSON on stdout (with --dry-run: the cells)
    #[arg(long, help_heading = "Output")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  pkdgan reproduce --dry-run                            the cells of ten digits and two seeds
  pkdgan reproduce                                      train them; hours without a GPU
  pkdgan reproduce --classes 2,5 --seeds 0              a small grid
  pkdgan reproduce --structures 1+4,1+2,1               ways to distil, from the same teachers
  pkdgan reproduce --dataset fashion-mnist --networks teacher
                                                        teachers only
  pkdgan reproduce --jobs 4                             four cells at a time
  pkdgan reproduce --shard 2/8                          the second of eight parts, for a cluster's array jobs
  pkdgan reproduce --status                             what is done, and how long the rest takes
  pkdgan reproduce --study score                        latent distance against reconstruction error
  pkdgan reproduce --study batch-size --classes 2,5,8   teachers at batch sizes 1 to 64
  pkdgan reproduce --study batch-size --network student the same of students, which are cheap
  pkdgan reproduce --study structures --classes 2,5     four single steps and six pairs, from the same teachers
  pkdgan reproduce --study compression --classes 2,5    students of five sizes, alone and distilled
  pkdgan reproduce --study constraint --classes 2,5     teachers with and without a constraint on latent vectors

Cells that are done are taken as they are; after ctrl-C, or a power cut, the same command goes on.
Results are runs.csv (a row for each network), table.md and table.csv (beside the papers' figures and
those of baselines.csv, where the folder of results has one),
and score.md, score.csv, score.svg. --study batch-size, structures, compression and constraint add
files of their names.";

/// Structures that --study structures looks at: every single step, and pairs that begin with each.
const STRUCTURES: [(Structure, Option<Structure>); 10] = {
    use Structure::{Frozen, FrozenOwn, Joint, JointOwn};
    [
        (Frozen, None),
        (FrozenOwn, None),
        (Joint, None),
        (JointOwn, None),
        (Frozen, Some(FrozenOwn)),
        (Frozen, Some(Joint)),
        (Frozen, Some(JointOwn)),
        (FrozenOwn, Some(JointOwn)),
        (Joint, Some(JointOwn)),
        (JointOwn, Some(JointOwn)),
    ]
};

/// Student's channels that --study compression looks at, in shares of those of the settings.
const WIDTHS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

fn width(text: &str) -> Result<f64, String> {
    let width: f64 = text.trim().parse().map_err(|error| format!("{error}"))?;
    if width > 0.0 && width <= 64.0 { Ok(width) } else { Err("a share is above 0 and at most 64".into()) }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Networks {
    Teacher,
    Student,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Study {
    /// Latent distance against reconstruction error; the same grid
    Score,
    /// Batch sizes of one network, scored by running averages and by the statistics of each image
    BatchSize,
    /// Structures of distillation, one step or two
    Structures,
    /// Sizes of the student, alone and distilled
    Compression,
    /// What holds latent vectors: normalised, tanh or nothing, with and without the latent loss
    Constraint,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Network {
    Teacher,
    Student,
}

/// Runs the grid, writes its results.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    arguments.check();
    let started = SystemTime::now();
    let (quiet, progress) =
        if arguments.worker.is_some() { (true, Show::None) } else { (arguments.quiet, arguments.progress) };
    let console = Console::showing(quiet, progress);
    let scope = arguments.scope()?;
    let (cells, study) = match arguments.study {
        Some(Study::BatchSize) => {
            let sizes = arguments.batch_sizes();
            let study = grid::Study::BatchSize { budget: sizes.budget(&scope)? };
            (sizes.cells(&scope)?, Some(study))
        }
        Some(Study::Structures) => (arguments.grid().cells(&scope)?, Some(grid::Study::Structures)),
        Some(Study::Compression) => (arguments.compression().cells(&scope)?, Some(grid::Study::Compression)),
        Some(Study::Constraint) => (Constraints.cells(&scope)?, Some(grid::Study::Constraint)),
        Some(Study::Score) | None => (arguments.grid().cells(&scope)?, None),
    };
    let cells = match arguments.shard {
        Some(shard) => cells_of(shard, cells),
        None => cells,
    };
    if arguments.dry_run {
        return print_cells(&cells, arguments.json);
    }
    if arguments.status {
        return print_status(&cells, arguments.json);
    }
    let mut survey = Survey::new(cells.clone(), started)?;
    let mut output = Output::open(&arguments.results.join(arguments.name()), study)?;
    let device = || {
        let opened = arguments.device.open_first()?;
        console.say(opened.describe("training"));
        Ok(grid::Device { devices: &arguments.device, kernels: opened.kernels })
    };
    let stop = stop_on_interrupt("after the steps under way")?;
    let jobs = arguments.jobs.map_or(arguments.device.adapters().max(1), NonZeroUsize::get);
    arguments.device.take_share(arguments.worker.unwrap_or_default());
    if arguments.worker.is_some() {
        jobs::stop_with_parent(&stop);
    } else if jobs > 1 && survey.left().next().is_some() {
        jobs::run(jobs, &cells, &console, &stop)?;
        survey = Survey::new(cells.clone(), started)?;
    }
    let mut watcher = GridWatcher::new(&console, stop, &survey);
    // Where the device failed on the way, what is done is looked up anew.
    let outcome = arguments.device.work(|| Survey::new(cells.clone(), started)?.run(&mut output, device, &mut watcher));
    watcher.finish();
    match outcome? {
        Outcome::Finished(rows) => {
            arguments.print(&rows, &output)?;
            console.say(format!("written: {}", output.folder().display()));
            Ok(ExitCode::SUCCESS)
        }
        // What there is to say is for the process that started it.
        Outcome::Stopped(_) | Outcome::Failed(_) if arguments.worker.is_some() => Ok(ExitCode::SUCCESS),
        Outcome::Stopped(done) => {
            let all = survey.cells().len();
            output::note(format_args!(
                "stopped with {done} of {all} cells done; the state is saved. The same command goes on"
            ));
            Ok(ExitCode::FAILURE)
        }
        Outcome::Failed(cells) => {
            for why in &cells {
                output::note(format_args!("failed: {why}"));
            }
            let all = survey.cells().len();
            output::note(format_args!("{} of {all} cells failed, the others are done", cells.len()));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The cells of a part: those of every so many-th class and seed, so that students stay with their teachers.
fn cells_of(shard: Shard, cells: Vec<Cell>) -> Vec<Cell> {
    let spot = |cell: &Cell| cell.folder.parent().map(Path::to_owned);
    let mut spots = Vec::new();
    let mut mine = |cell: &Cell| {
        if spots.last() != Some(&spot(cell)) {
            spots.push(spot(cell));
        }
        shard.has(spots.len() - 1)
    };
    cells.into_iter().filter(|cell| mine(cell)).collect()
}

impl Arguments {
    /// Ends the program where flags do not go together.
    fn check(&self) {
        let usage = |message: String| clap::Error::raw(ErrorKind::ArgumentConflict, message + "\n").exit();
        let of_study = [
            ("--network", self.network.is_some()),
            ("--batch-sizes", self.batch_sizes.is_some()),
            ("--images-seen", self.images_seen.is_some()),
            ("--equal-steps", self.equal_steps.is_some()),
        ];
        let of_grid = [
            ("--networks", self.networks != Networks::All),
            ("--structures", !self.structures.is_empty()),
            ("--without-baseline", self.without_baseline),
        ];
        let named = |flags: &[(&'static str, bool)]| flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag);
        if self.study == Some(Study::BatchSize) {
            if let Some(flag) = named(&of_grid) {
                usage(format!("{flag} has no part in --study batch-size; choose the network with --network"));
            }
        } else if let Some(flag) = named(&of_study) {
            usage(format!("{flag} is for --study batch-size"));
        }
        if self.study == Some(Study::Compression) {
            if let Some(flag) = named(&of_grid) {
                usage(format!("{flag} has no part in --study compression; choose sizes with --widths"));
            }
        } else if !self.widths.is_empty() {
            usage("--widths is for --study compression".into());
        }
        if self.study == Some(Study::Constraint)
            && let Some(flag) = named(&of_grid)
        {
            usage(format!("{flag} has no part in --study constraint, which is of teachers"));
        }
        if self.study == Some(Study::Structures) && self.networks != Networks::All {
            usage("--networks has no part in --study structures".into());
        }
        if self.networks != Networks::All && (!self.structures.is_empty() || self.without_baseline) {
            usage("--structures and --without-baseline are for --networks all".into());
        }
        let sets =
            |key: &str| self.base.set.iter().any(|set| set.split('=').next().is_some_and(|name| name.trim() == key));
        if sets("data.calibration") {
            usage("--set data.calibration: grids train on every image, as published figures do; use train".into());
        }
        if sets("data.eval_split") || sets("data.judge") {
            usage(
                "--set data.eval_split: results stand beside published figures, which are of the test set; use train"
                    .into(),
            );
        }
        for (key, flag) in [
            ("data.dataset", "--dataset"),
            ("data.normal", "--classes"),
            ("training.seed", "--seeds"),
            ("run.stage", "--networks"),
            ("run.with_baseline", "--without-baseline"),
        ] {
            if sets(key) {
                usage(format!("--set {key}: the grid sets it; use {flag}"));
            }
        }
    }

    fn scope(&self) -> Result<Scope, ConfigError> {
        let settings = self.datasets().map(|set| self.base.resolve(&[format!("data.dataset={}", quoted(&set))]));
        let settings = settings.collect::<Result<Vec<Config>, _>>()?;
        let (classes, seeds) = (self.classes.0.clone(), self.seeds.0.clone());
        Ok(Scope { settings, classes, seeds, runs: self.runs.clone() })
    }

    /// The data sets named, each once.
    fn datasets(&self) -> impl Iterator<Item = Dataset> {
        Dataset::ALL.into_iter().filter(|set| self.dataset.contains(set))
    }

    fn grid(&self) -> Grid {
        let networks = match self.networks {
            Networks::Teacher => grid::Networks::Teacher,
            Networks::Student => grid::Networks::Student,
            Networks::All => grid::Networks::All,
        };
        let mut structures: Vec<Pair> = Vec::new();
        let of_study = STRUCTURES.map(|(first, second)| Pair { first, second });
        let named = match self.study {
            Some(Study::Structures) if self.structures.is_empty() => &of_study[..],
            _ => &self.structures,
        };
        for &pair in named {
            if !structures.contains(&pair) {
                structures.push(pair);
            }
        }
        Grid { networks, baseline: !self.without_baseline, structures }
    }

    fn compression(&self) -> Compression {
        let widths = if self.widths.is_empty() { &WIDTHS[..] } else { &self.widths };
        Compression { widths: widths.to_vec() }
    }

    fn batch_sizes(&self) -> BatchSizes {
        let sizes = self.batch_sizes.as_ref().map_or(&[1, 2, 4, 8, 16, 32, 64][..], |sizes| &sizes.0);
        BatchSizes {
            network: if self.network == Some(Network::Student) { Studied::Student } else { Studied::Teacher },
            sizes: sizes.iter().map(|&size| size as usize).collect(),
            images_seen: self.images_seen,
            steps: self.equal_steps,
        }
    }

    /// The name of the results: those of a study with networks of its own are kept apart.
    fn name(&self) -> String {
        let sets = self.datasets().map(Dataset::name).collect::<Vec<_>>().join("+");
        let default = match (self.study, self.network) {
            (Some(Study::BatchSize), Some(Network::Student)) => format!("{sets}-batch-size-student"),
            (Some(Study::BatchSize), _) => format!("{sets}-batch-size"),
            (Some(Study::Structures), _) => format!("{sets}-structures"),
            (Some(Study::Compression), _) => format!("{sets}-compression"),
            (Some(Study::Constraint), _) => format!("{sets}-constraint"),
            _ => sets,
        };
        self.name.clone().unwrap_or(default)
    }

    fn print(&self, rows: &Rows, output: &Output) -> anyhow::Result<()> {
        let text = if self.json {
            serde_json::to_string_pretty(&rows.iter().collect::<Vec<_>>())?
        } else if let Some(study) = output.study() {
            study.markdown(rows)
        } else if self.study == Some(Study::Score) {
            ScoreStudy::new(rows).markdown()
        } else {
            Table::new(rows).with_baselines(&output.baselines()?).markdown()
        };
        output::line(text.trim_end())?;
        Ok(())
    }
}
