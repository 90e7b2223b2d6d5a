//! What the project is made of: licences, sources and doubles of its dependencies as `deny.toml` has them, and where
//! its own code is unsafe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// The program's workspace, and the Python package's.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "python/Cargo.toml"];

/// A crate that some build or test of the project takes, on any platform.
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// None for the project itself.
    source: Option<String>,
}

/// The crates of a workspace.
fn packages(manifest: &str) -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path", manifest])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap().iter();
    let used: BTreeSet<&str> = nodes.map(|node| node["id"].as_str().unwrap()).collect();
    let all = metadata["packages"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    all.filter(|package| used.contains(package["id"].as_str().unwrap()))
        .map(|package| Package {
            name: text(&package["name"]).unwrap(),
            version: text(&package["version"]).unwrap(),
            licence: text(&package["license"]),
            source: text(&package["source"]),
        })
        .collect()
}

fn rules() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn names(value: &toml::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

/// Whether a licence expression can be met with these licences.
fn met(expression: &str, allowed: &[&str]) -> bool {
    let expression = Expression::parse_mode(expression, ParseMode::LAX).unwrap();
    expression.evaluate(|requirement| allowed.contains(&requirement.to_string().as_str()))
}

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed = names(&rules["licenses"]["allow"]);
    let exceptions = rules["licenses"]["exceptions"].as_array().unwrap();
    let packages: Vec<Package> = MANIFESTS.into_iter().flat_map(packages).collect();
    assert!(packages.len() > 300 && packages.iter().any(|package| package.name == "pyo3"), "{}", packages.len());
    for Package { name, version, licence, .. } in &packages {
        let own = exceptions.iter().find(|exception| exception["crate"].as_str() == Some(name));
        let allowed: Vec<&str> =
            allowed.iter().copied().chain(own.iter().flat_map(|own| names(&own["allow"]))).collect();
        let licence = licence.as_deref().unwrap_or_else(|| panic!("{name} {version} names no licence"));
        assert!(met(licence, &allowed), "{name} {version}: `{licence}`; leave it out, or see deny.toml");
    }
    for exception in exceptions {
        let name = exception["crate"].as_str().unwrap();
        assert!(packages.iter().any(|package| package.name == name), "{name} is no dependency any more: deny.toml");
    }
    assert!(
        !met("GPL-3.0-only", &["MIT"])
            && !met("MIT AND GPL-3.0-only", &["MIT"])
            && !met("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"])
            && met("GPL-3.0-only OR MIT", &["MIT"])
    );
}

#[test]
fn every_crate_comes_from_the_registry() {
    let rules = rules();
    let allowed = names(&rules["sources"]["allow-registry"]);
    for Package { name, version, source, .. } in MANIFESTS.into_iter().flat_map(packages) {
        match source.as_deref().map(|source| source.trim_start_matches("registry+")) {
            Some(source) => assert!(allowed.contains(&source), "{name} {version} comes from {source}"),
            None => assert!([env!("CARGO_PKG_NAME"), "pkdgan-python"].contains(&name.as_str()), "{name}"),
        }
    }
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let rules = rules();
    let skipped: BTreeSet<(String, String)> = rules["bans"]["skip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skip| {
            assert!(skip["reason"].as_str().is_some_and(|reason| reason.len() > 3), "{skip}: give the reason");
            let (name, version) = skip["crate"].as_str().unwrap().split_once('@').unwrap();
            (name.to_owned(), version.to_owned())
        })
        .collect();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Package { name, version, .. } in packages(MANIFESTS[0]) {
        versions.entry(name).or_default().insert(version);
    }
    for (name, version) in &skipped {
        let double = versions.get(name).is_some_and(|versions| versions.len() > 1 && versions.contains(version));
        assert!(double, "{name} {version} is not double any more: take it out of deny.toml");
    }
    for (name, versions) in versions {
        let left: Vec<_> =
            versions.iter().filter(|&version| !skipped.contains(&(name.clone(), version.clone()))).collect();
        assert_eq!(left.len(), 1, "{name}: {versions:?}; settle on one, or give the reason in deny.toml");
    }
}

/// The files of the unsafe blocks, each of which has a reason beside it.
const UNSAFE: [&str; 4] =
    ["src/engine/gpu/pipeline_cache.rs", "src/engine/gpu/pipelines.rs", "src/main.rs", "src/main.rs"];

#[test]
fn unsafe_code_is_where_it_is_known_to_be() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root.join("src")).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == "unsafe") {
                let file = entry.path().strip_prefix(root).unwrap().display().to_string();
                let before = &lines[number.saturating_sub(4)..number];
                assert!(before.iter().any(|line| line.contains("// SAFETY:")), "{file}:{}: no reason", number + 1);
                found.push(file);
            }
        }
    }
    assert_eq!(found, UNSAFE);
    for (file, attribute) in
        [("src/lib.rs", "#![deny(unsafe_code)]"), ("src/main.rs", "#[forbid(unsafe_code)]\nmod cli;")]
    {
        assert!(std::fs::read_to_string(root.join(file)).unwrap().contains(attribute), "{file}: {attribute}");
    }
}

#[test]
fn the_wheel_is_made_of_the_same_versions() {
    let locked = |name: &str| -> BTreeMap<String, BTreeSet<String>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let lock: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in lock["package"].as_array().unwrap() {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            versions.entry(text("name")).or_default().insert(text("version"));
        }
        versions
    };
    let (ours, wheel) = (locked("Cargo.lock"), locked("python/Cargo.lock"));
    let shared = wheel.iter().filter_map(|(name, versions)| Some((name, versions, ours.get(name)?)));
    let mut count = 0;
    for (name, versions, known) in shared {
        let other: Vec<_> = versions.difference(known).collect();
        assert!(other.is_empty(), "{name} {other:?} in python/Cargo.lock: copy Cargo.lock there, then `cargo fetch`");
        count += 1;
    }
    assert!(count > 100, "{count}");
}
