//! Finds the commit that the program is built from, and hands it to the compiler as `PKDGAN_BUILD`.

use std::path::Path;
use std::process::Command;

/// What the program is made of.
const SOURCES: [&str; 7] = ["src", "shaders", "templates", "web", "build.rs", "Cargo.toml", "Cargo.lock"];
/// Characters of a commit: no two of this repository have so many in common.
const LENGTH: usize = 12;

fn main() {
    println!("cargo:rerun-if-env-changed=PKDGAN_BUILD");
    SOURCES.iter().for_each(|path| println!("cargo:rerun-if-changed={path}"));
    // Who builds from neither a repository nor a package can say what it is.
    let build = std::env::var("PKDGAN_BUILD").ok().or_else(checked_out).or_else(packaged);
    println!("cargo:rustc-env=PKDGAN_BUILD={}", build.as_deref().unwrap_or("unknown"));
}

fn git(arguments: &[&str]) -> Option<String> {
    // Without locks of its own: somebody may be committing.
    let output = Command::new("git").arg("--no-optional-locks").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The commit of the repository that this folder is the root of, with `-modified` if the sources differ from it.
fn checked_out() -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&root).canonicalize().ok()? != Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()? {
        return None;
    }
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        // A file that is not there would have this run each time.
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", &format!("--short={LENGTH}"), "HEAD"])?;
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let modified = git(&[&status[..], &SOURCES].concat())?;
    Some(if modified.is_empty() { commit } else { commit + "-modified" })
}

/// The commit that `cargo package` left in the package.
fn packaged() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\": \"")?;
    rest.get(..LENGTH).map(str::to_owned)
}
