//! Which files of a folder are wanted, by patterns of their names.

use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

/// Patterns of names that are wanted, and of those that are not. Without the first kind, all are wanted.
///
/// A pattern without a slash is for the name itself, in any folder; one with a slash for the path from the folder that is
/// looked through. `*` stands for anything but a slash, `**` for folders too, `?` for a character, `[ab]` and `{a,b}` for
/// a choice.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    include: Option<[GlobSet; 2]>,
    exclude: Option<[GlobSet; 2]>,
}

/// What is no pattern.
#[derive(Debug, Error)]
#[error("`{pattern}` is no pattern of names: {problem}")]
pub struct PatternError {
    /// What was given.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Patterns {
    /// Takes patterns.
    ///
    /// # Errors
    /// What is no pattern.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, PatternError> {
        Ok(Self { include: sets(include)?, exclude: sets(exclude)? })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether a file is wanted, by its path from the folder that is looked through.
    pub fn wants(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|sets| matches(sets, path)) && !self.excludes(path)
    }

    /// Whether a file or folder, with all in it, is left out.
    pub fn excludes(&self, path: &Path) -> bool {
        self.exclude.as_ref().is_some_and(|sets| matches(sets, path))
    }
}

/// Patterns of names, and of paths.
fn sets(patterns: &[String]) -> Result<Option<[GlobSet; 2]>, PatternError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut sets = [GlobSetBuilder::new(), GlobSetBuilder::new()];
    for pattern in patterns {
        let failed =
            |error: globset::Error| PatternError { pattern: pattern.clone(), problem: error.kind().to_string() };
        // A folder may be written as one.
        let plain = pattern.trim_end_matches('/').trim_start_matches("./");
        let paths = plain.contains('/');
        let plain = plain.trim_start_matches('/');
        if plain.is_empty() {
            return Err(PatternError { pattern: pattern.clone(), problem: "it is empty".into() });
        }
        let glob: Glob = GlobBuilder::new(plain).literal_separator(true).build().map_err(failed)?;
        sets[usize::from(paths)].add(glob);
    }
    let [names, paths] = sets.map(|set| set.build());
    let failed = |error: globset::Error| PatternError { pattern: patterns.join(" "), problem: error.to_string() };
    Ok(Some([names.map_err(failed)?, paths.map_err(failed)?]))
}

fn matches([names, paths]: &[GlobSet; 2], path: &Path) -> bool {
    path.file_name().is_some_and(|name| names.is_match(name)) || paths.is_match(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_matched() {
        let patterns = |include: &[&str], exclude: &[&str]| {
            let [include, exclude] =
                [include, exclude].map(|list| list.iter().map(|&p| p.to_owned()).collect::<Vec<_>>());
            Patterns::new(&include, &exclude)
        };
        let wants =
            |include: &[&str], exclude: &[&str], path: &str| patterns(include, exclude).unwrap().wants(Path::new(path));
        assert!(wants(&[], &[], "a/b.png"));
        assert!(wants(&["*.png"], &[], "a/b.png") && !wants(&["*.png"], &[], "a/b.jpg"));
        assert!(wants(&["a/*.png"], &[], "a/b.png") && !wants(&["a/*.png"], &[], "c/a/b.png"));
        assert!(wants(&["**/a/*.png"], &[], "c/a/b.png") && !wants(&["*/b.png"], &[], "c/a/b.png"));
        assert!(!wants(&["*.png"], &["b*"], "a/b.png") && wants(&[], &["b*"], "b/a.png"));
        assert!(wants(&["*.{png,jpg}"], &[], "b.jpg"));
        let folders = patterns(&["*.png"], &["bad/", "/c/old"]).unwrap();
        assert!(folders.excludes(Path::new("a/bad")) && folders.excludes(Path::new("c/old")));
        assert!(!folders.excludes(Path::new("a/c/old")) && !folders.excludes(Path::new("a")));
        for wrong in ["[a", "{a", "", "/"] {
            let message = patterns(&[wrong], &[]).unwrap_err().to_string();
            assert!(message.contains("is no pattern of names"), "{message}");
        }
    }
}
