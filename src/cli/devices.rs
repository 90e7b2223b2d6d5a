//! `pkdgan devices`: lists the adapters.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pkdgan::engine::{EngineError, adapters};

use super::device::seconds;
use super::output;

/// Arguments of `pkdgan devices`.
#[derive(Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Time limit for drivers to list their adapters
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    device_timeout: f64,
}

/// Lists the adapters.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let adapters = adapters(Duration::from_secs_f64(arguments.device_timeout))?;
    if arguments.json {
        output::line(serde_json::to_string_pretty(&adapters)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if adapters.is_empty() {
        let problem = "this machine has no Vulkan, Metal or DirectX 12 driver".into();
        return Err(EngineError::NoAdapter { problem }.into());
    }
    for (index, adapter) in adapters.iter().enumerate() {
        output::line(format_args!("{index}  {adapter}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
