//! `pkdgan devices`: lists the adapters, and writes what a report of trouble needs.

mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pkdgan::engine::{EngineError, adapter_details};
use pkdgan::unstable::engine::NO_DRIVER;

use self::report::MachineReport;
use super::device::seconds;
use super::output;

/// Arguments of `pkdgan devices`.
#[derive(Args)]
pub(super) struct Arguments {
    /// Print JSON, with what each adapter can do
    #[arg(long)]
    json: bool,
    /// Print all that a report of trouble needs: build, machine, settings, and what each adapter can do and computes
    #[arg(long)]
    report: bool,
    /// Time limit for drivers to list their adapters, and for each answer in a report
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    device_timeout: f64,
}

/// Lists the adapters.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let timeout = Duration::from_secs_f64(arguments.device_timeout);
    if arguments.report {
        let report = MachineReport::new(timeout);
        output::line(if arguments.json { serde_json::to_string_pretty(&report)? } else { report.to_string() })?;
        return Ok(ExitCode::SUCCESS);
    }
    let adapters = adapter_details(timeout)?;
    if arguments.json {
        output::line(serde_json::to_string_pretty(&adapters)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if adapters.is_empty() {
        return Err(EngineError::NoAdapter { problem: NO_DRIVER.into() }.into());
    }
    for (index, adapter) in adapters.iter().enumerate() {
        output::line(format_args!("{index}  {}", adapter.summary))?;
    }
    Ok(ExitCode::SUCCESS)
}
