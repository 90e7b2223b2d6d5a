//! `pkdgan completions` and `pkdgan man`, from clap's description of the commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use pkdgan::unstable::run::{WriteError, replace_whole};

use super::output;

/// Arguments of `pkdgan completions`.
#[derive(Args)]
#[command(after_help = INSTALL)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

const INSTALL: &str = "Where shells look for them:
  pkdgan completions bash > ~/.local/share/bash-completion/completions/pkdgan
  pkdgan completions zsh > ~/.zfunc/_pkdgan                       with ~/.zfunc in $fpath
  pkdgan completions fish > ~/.config/fish/completions/pkdgan.fish";

/// Arguments of `pkdgan man`.
#[derive(Args)]
pub(super) struct Man {
    /// Folder to write them to, such as ~/.local/share/man/man1; it is made if need be
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints what a shell completes the program's arguments by.
pub(super) fn completions(arguments: &Completions, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "pkdgan", &mut script);
    output::text(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a manual page for the program and for each command.
pub(super) fn man(arguments: &Man, command: Command) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let failed = || format!("{}: manual pages cannot be written there", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    pages(&command, folder)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and of each below it.
fn pages(command: &Command, folder: &Path) -> Result<(), WriteError> {
    let page = clap_mangen::Man::new(command.clone());
    replace_whole(&folder.join(page.get_filename()), |mut out| page.render(&mut out))?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| pages(below, folder))
}
