//! Which part of the engine may know which: the rules of `ARCHITECTURE.md` that the compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files at and below a path under `src/engine/`.
fn files(name: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine").join(name);
    if path.is_file() {
        return vec![path];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        found.extend(files(entry.unwrap().path().to_str().unwrap()));
    }
    assert!(!found.is_empty(), "{}", path.display());
    found
}

/// The lines of a file that are code.
fn code(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.map(str::to_owned).collect()
}

fn refuse(rooms: &[&str], words: &[&str]) {
    for file in rooms.iter().flat_map(|room| files(room)) {
        for line in code(&file) {
            for word in words {
                assert!(!line.contains(word), "{}: `{word}` in: {line}", file.display());
            }
        }
    }
}

/// Graph to program: what every executor is given.
const COMPILER: [&str; 9] = [
    "graph.rs",
    "autograd.rs",
    "lower.rs",
    "fuse.rs",
    "levels.rs",
    "place.rs",
    "compile.rs",
    "program.rs",
    "variables.rs",
];

#[test]
fn the_compiler_knows_no_backend() {
    refuse(&COMPILER, &["wgpu", "gpu::", "cpu::"]);
}

#[test]
fn the_compiler_names_no_op() {
    refuse(&COMPILER, &["Op::"]);
}

#[test]
fn ops_and_kernels_are_described_without_a_device() {
    refuse(&["ops", "kernel", "conv", "software", "fused", "executor.rs", "summary.rs"], &["wgpu", "gpu::"]);
}

#[test]
fn ops_do_not_ask_which_adapter_they_run_on() {
    refuse(&["ops"], &["software"]);
}

#[test]
fn only_the_choice_of_a_kernel_knows_what_is_there_for_software_drivers() {
    const KNOWN_TO: [&str; 4] = ["mod.rs", "conv/dispatch.rs", "conv/kernel.rs", "kernel/target.rs"];
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let known_to = KNOWN_TO.map(|name| engine.join(name));
    assert!(known_to.iter().all(|file| code(file).join("").contains("software")), "one of {KNOWN_TO:?} need not know");
    for file in files("").iter().filter(|file| !file.starts_with(engine.join("software")) && !known_to.contains(file)) {
        let line = code(file).into_iter().find(|line| line.contains("software::") || line.contains("SOFTWARE"));
        assert_eq!(line, None, "{}", file.display());
    }
}

/// The Rust files below a folder of the source.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn files_are_made_and_read_whole_in_one_room() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // Each of these follows links, or reads whatever there is.
    let words = ["File::create(", "fs::write(", "fs::read(", "fs::read_to_string(", ".create(true)", "generate_to("];
    // What the kernel says of this process, and a folder that is new.
    let but = ["fs::read_to_string(\"/proc/self/status\")", "open_own(path, File::options()"];
    for file in sources(&source) {
        if file.starts_with(source.join("files")) {
            continue;
        }
        let text = code(&file).join("\n");
        // Unit tests stand at the end of their file.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for line in text.lines().filter(|line| !but.iter().any(|but| line.contains(but))) {
            for word in words {
                // Not the end of a longer name.
                let mut before = line.match_indices(word).map(|(place, _)| &line[..place]);
                let found = before.any(|before| !before.ends_with(char::is_alphanumeric));
                assert!(!found, "{}: `{word}` in: {line}", file.display());
            }
        }
    }
}
