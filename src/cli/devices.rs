use std::process::ExitCode;

use clap::Args;
use pkdgan::engine::{EngineError, adapters};

/// Arguments of `pkdgan devices`.
#[derive(Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the adapters.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let adapters = adapters();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&adapters)?);
        return Ok(ExitCode::SUCCESS);
    }
    if adapters.is_empty() {
        let problem = "this machine has no Vulkan, Metal or DirectX 12 driver".into();
        return Err(EngineError::NoAdapter { problem }.into());
    }
    for (index, adapter) in adapters.iter().enumerate() {
        println!("{index}  {adapter}");
    }
    Ok(ExitCode::SUCCESS)
}
