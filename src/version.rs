//! Which build of the program this is.

/// The version of the package, as `0.2.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, followed by `-modified` if the sources differed from that; `unknown` for a build
/// from neither a repository nor a package. `build.rs` finds it out.
pub const BUILD: &str = env!("PKDGAN_BUILD");

/// Both, for people.
pub const VERSION_AND_BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PKDGAN_BUILD"), ")");

/// The same of files that may not say their build.
pub(crate) fn named(version: &str, build: &str) -> String {
    if build.is_empty() { version.to_owned() } else { format!("{version} ({build})") }
}
