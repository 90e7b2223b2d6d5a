//! The command line; see `pkdgan --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
