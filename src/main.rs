//! The command line; see `pkdgan --help`.

#![deny(unsafe_code)]

#[forbid(unsafe_code)]
mod cli;

fn main() -> std::process::ExitCode {
    quieten_driver();
    cli::main()
}

/// Mesa's layer that reorders devices complains on machines without a desktop; we choose for ourselves.
#[allow(unsafe_code, reason = "the layer listens to nothing but this variable")]
fn quieten_driver() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
