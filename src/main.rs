//! The command line; see `pkdgan --help`.

#![deny(unsafe_code)]
// These macros panic where their stream is closed or full: `cli/output.rs` writes in their place.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[forbid(unsafe_code)]
mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    quieten_driver();
    let code = cli::main();
    #[cfg(unix)]
    if pkdgan::engine::driver_hung() {
        leave(code);
    }
    code
}

/// A layer that reorders Vulkan devices complains on machines without a desktop; we choose for ourselves.
#[allow(unsafe_code, reason = "the layer listens to nothing but this variable")]
fn quieten_driver() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Ends the process without the driver's clearing up, which would take from its threads what they work with.
#[cfg(unix)]
#[allow(unsafe_code, reason = "the standard library ends processes with the clearing up only")]
fn leave(code: ExitCode) -> ! {
    use std::io::Write;

    // What is printed waits in a buffer; nobody may be left to read it.
    let _ = std::io::stdout().flush();
    let status = (0..=u8::MAX).find(|&status| ExitCode::from(status) == code).unwrap_or(1);
    // SAFETY: it takes a number, and nothing of this process comes after it.
    unsafe { libc::_exit(status.into()) }
}
