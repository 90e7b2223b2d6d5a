//! `pkdgan data`: lists, finds, checks and fetches data sets. How that is done is `data/`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use pkdgan::data::{CLASSES, Dataset, Part};
use pkdgan::unstable::data::fetch::{Arrival, fetch, masked};
use pkdgan::unstable::data::{Check, Manifest, cache_folder, verify};
use serde_json::json;

use super::console::{Console, Progress};
use super::output::{self, OutputError};

/// Arguments of `pkdgan data`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// Folder that holds the data sets, each in a folder of its name, instead of the usual places
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

const PLACES: &str = "Data sets are looked for in these folders, each of which holds one folder per data set:
  the one named with --data-dir, and then no other
  the one named by the environment variable PKDGAN_DATA
  data in the working folder
  pkdgan in the user's cache folder, where `fetch` puts them ($XDG_CACHE_HOME or ~/.cache)
  /usr/share/datasets, where Debian's package dataset-fashion-mnist puts its own";

#[derive(Subcommand)]
enum Action {
    /// List the data sets: whether and where they are found, what they hold, source and licence
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the folder of a data set
    Path {
        /// `mnist`, `fashion-mnist` or `cifar-10`
        name: Dataset,
    },
    /// Check lengths and checksums of a data set's files
    Verify {
        /// `mnist`, `fashion-mnist` or `cifar-10`
        name: Dataset,
    },
    /// Download a data set into the user's cache folder, or the one named with --data-dir
    Fetch {
        /// `mnist`, `fashion-mnist` or `cifar-10`
        name: Dataset,
        /// Address of a folder that serves the same files, instead of the official one
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
        /// Print nothing but errors
        #[arg(long, short)]
        quiet: bool,
    },
}

/// Lists, finds, checks and fetches data sets.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let chosen = arguments.data_dir.clone().unwrap_or_default();
    match &arguments.action {
        Action::List { json } => list(&chosen, *json)?,
        Action::Path { name } => output::line(name.folder(&name.find(&chosen)?).display())?,
        Action::Verify { name } => return Ok(check(*name, &name.find(&chosen)?)?),
        Action::Fetch { name, mirror, quiet } => {
            let data = match &arguments.data_dir {
                Some(folder) => folder.clone(),
                None => cache_folder().context("there is no cache folder; name a folder with --data-dir DIR")?,
            };
            receive(*name, mirror.clone(), &name.folder(&data), &Console::new(*quiet))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(chosen: &Path, json: bool) -> anyhow::Result<()> {
    let sets = Dataset::ALL.map(|set| (set, set.find(chosen).ok().map(|data| set.folder(&data))));
    if json {
        let rows = sets.map(|(set, folder)| {
            json!({
                "name": set.name(),
                "folder": folder,
                "train_images": set.published(Part::Train),
                "test_images": set.published(Part::Test),
                "channels": set.channels(),
                "side": set.side(),
                "classes": set.classes(),
                "source": set.source(),
                "fetched_from": Manifest::official(set).address,
                "licence": set.licence(),
            })
        });
        output::line(serde_json::to_string_pretty(&rows)?)?;
        return Ok(());
    }
    for (set, folder) in sets {
        let place = match folder {
            Some(folder) => folder.display().to_string(),
            None => format!("not found; fetch it with `pkdgan data fetch {set}`"),
        };
        let (side, colour) = (set.side(), if set.channels() == 1 { "grey" } else { "colour" });
        output::line(format_args!(
            "{set}: {place}\n  {} + {} {colour} images of {side}x{side}, {CLASSES} classes: {}\n  source: {}\n  \
             fetched from: {}\n  licence: {}",
            set.published(Part::Train),
            set.published(Part::Test),
            set.classes().join(", "),
            set.source(),
            Manifest::official(set).address,
            set.licence()
        ))?;
    }
    Ok(())
}

/// Checks every file and says what came of it.
fn check(set: Dataset, data: &Path) -> Result<ExitCode, OutputError> {
    let verified = verify(&Manifest::official(set), &set.folder(data));
    let mut code = ExitCode::SUCCESS;
    for file in &verified {
        match (&file.outcome, &file.check) {
            (Ok(path), Check::Sha256(_)) => {
                output::line(format_args!("{}: contents as published (sha256)", path.display()))?
            }
            (Ok(path), Check::CifarLabels) => {
                output::line(format_args!("{}: length and labels are right", path.display()))?
            }
            (Err(error), _) => {
                output::note(format_args!("error: {error}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    if verified.iter().any(|file| file.outcome.is_ok() && file.check == Check::CifarLabels) {
        output::line("structure only: no checksums of the unpacked files are known, so changed pixels do not show")?;
    }
    Ok(code)
}

fn receive(set: Dataset, mirror: Option<String>, folder: &Path, console: &Console) -> anyhow::Result<()> {
    let mut manifest = Manifest::official(set);
    if let Some(address) = mirror {
        manifest.address = address;
    }
    console.say(format!("{set}: from {} to {}", masked(&manifest.address), folder.display()));
    let mut bar: Option<(String, Progress)> = None;
    let arrivals = fetch(&manifest, folder, &mut |progress| {
        let [done, total] =
            [progress.done, progress.total.unwrap_or(progress.done)].map(|bytes| (bytes / 1000) as usize);
        if bar.as_ref().is_none_or(|(file, _)| file != progress.file) {
            if let Some((_, old)) = bar.take() {
                old.finish();
            }
            bar = Some((progress.file.to_owned(), console.progress("fetching", "kB", done, total)));
        }
        if let Some((file, bar)) = &mut bar {
            bar.update(done, &format!(", {file}"));
        }
    });
    if let Some((_, bar)) = bar {
        bar.finish();
    }
    for (name, arrival) in arrivals? {
        console.say(match arrival {
            Arrival::Present => format!("{name}: already there, and right"),
            Arrival::Published => format!("{name}: as published (md5)"),
            Arrival::Repacked => format!("{name}: packed otherwise than published, contents as published (sha256)"),
        });
    }
    Ok(())
}
