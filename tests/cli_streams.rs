//! Standard output and standard error that are closed or full: no command panics, and training goes on.

mod command;

use std::fs::File;
use std::process::{Command, Output, Stdio};

use command::{Sandbox, TINY, stderr};

/// Commands that print results at once.
const PRINTING: [&[&str]; 7] = [
    &["model"],
    &["model", "--json"],
    &["data", "list"],
    &["data", "list", "--json"],
    &["completions", "bash"],
    &["reproduce", "--dry-run", "--data-dir=data"],
    &["devices", "--json"],
];

/// The binary with what it prints going to these.
fn run(sandbox: &Sandbox, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkdgan"));
    command.current_dir(sandbox.path("")).args(arguments).stdout(stdout).stderr(stderr);
    command.env("PKDGAN_CACHE", sandbox.path("cache")).spawn().unwrap().wait_with_output().unwrap()
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

/// A device that is full.
#[cfg(target_os = "linux")]
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_closed_standard_output_ends_quietly() {
    let sandbox = Sandbox::new();
    for arguments in PRINTING {
        let output = run(&sandbox, arguments, closed(), Stdio::piped());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("error"), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_an_error() {
    let sandbox = Sandbox::new();
    for arguments in PRINTING {
        let output = run(&sandbox, arguments, full(), Stdio::piped());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("standard output cannot be written: No space left"), "{arguments:?}: {said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn training_goes_on_where_nobody_hears_it() {
    let sandbox = Sandbox::new();
    for (index, (stdout, stderr)) in
        [(closed(), closed()), (Stdio::null(), full()), (closed(), Stdio::null())].into_iter().enumerate()
    {
        let out = format!("run{index}");
        let arguments = ["train", "--stage=teacher", "--steps=4", "--data-dir=data", "--progress=plain", "--out", &out];
        let arguments: Vec<&str> = arguments.into_iter().chain(TINY).collect();
        let output = run(&sandbox, &arguments, stdout, stderr);
        assert_eq!(output.status.code(), Some(0), "{index}");
        assert!(sandbox.json(&format!("{out}/report.json"))["auroc"].is_number());
    }
}

/// What a command says on standard error, with this variable; on a terminal of its own, if asked for.
#[cfg(target_os = "linux")]
fn said(sandbox: &Sandbox, folder: usize, terminal: bool, (name, value): (&str, &str)) -> String {
    // A port where nobody listens: each attempt but the last is followed by a warning.
    let arguments = format!("data fetch mnist --quiet --data-dir {folder} --mirror http://me:secret@127.0.0.1:1/");
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_pkdgan"));
    let mut shell = if terminal { Command::new("script") } else { Command::new("sh") };
    if terminal {
        shell.args(["-qec", &command, "/dev/null"]);
    } else {
        shell.args(["-c", &command]);
    }
    shell.current_dir(sandbox.path("")).env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    let output = shell.env(name, value).output().unwrap();
    // A terminal has both in one.
    let said = String::from_utf8_lossy(if terminal { &output.stdout } else { &output.stderr }).into_owned();
    assert!(said.contains("attempt 2 of 5 follows"), "{said}");
    assert!(!said.contains("secret") && !said.contains("bWU6c2VjcmV0"), "{said}");
    said
}

#[test]
#[cfg(target_os = "linux")]
fn warnings_are_plain_but_on_a_terminal_with_colours() {
    let sandbox = Sandbox::new();
    let cases = [
        (false, ("LANG", "C"), false),
        (true, ("TERM", "dumb"), false),
        (true, ("NO_COLOR", "1"), false),
        (true, ("NO_COLOR", ""), true),
        (false, ("RUST_LOG", "trace"), false),
    ];
    std::thread::scope(|scope| {
        for (folder, (terminal, variable, coloured)) in cases.into_iter().enumerate() {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let said = said(sandbox, folder, terminal, variable);
                assert_eq!(said.contains('\x1b'), coloured, "{variable:?}, {terminal}: {said:?}");
            });
        }
    });
}
