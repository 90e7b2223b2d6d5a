//! Folders as collections of inspected parts have them: `train/good`, `test/good`, and below `test` a folder for each kind of
//! defect (as MVTec AD has it). And names that folders of normal pictures do not have.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the pictures of such a folder lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Normal pictures to train on.
    pub train: PathBuf,
    /// Normal pictures to test with, if there are any.
    pub test_normal: Option<PathBuf>,
    /// What holds the folders of anomalous pictures, and perhaps that of the normal ones.
    pub anomalies: Option<PathBuf>,
}

impl Layout {
    /// The layout of a folder; none where it has no `train/good`.
    pub fn of(folder: &Path) -> Option<Self> {
        let (train, test) = (folder.join("train").join("good"), folder.join("test"));
        let good = test.join("good");
        let defects = || {
            let entries = fs::read_dir(&test).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.into_iter().any(|path| path.is_dir() && path != good)
        };
        train.is_dir().then(|| Self {
            train,
            test_normal: good.is_dir().then(|| good.clone()),
            anomalies: defects().then(|| test.clone()),
        })
    }
}

/// What folders of defective parts are called, alone or as one of several words.
const DEFECTS: [&str; 26] = [
    "abnormal",
    "anomalies",
    "anomalous",
    "anomaly",
    "bad",
    "broken",
    "contaminated",
    "crack",
    "cracked",
    "cracks",
    "damage",
    "damaged",
    "defect",
    "defective",
    "defects",
    "fault",
    "faults",
    "faulty",
    "ng",
    "nok",
    "reject",
    "rejected",
    "rejects",
    "scratch",
    "scratched",
    "scratches",
];

/// The first folder between `top` and one of these pictures whose name says that its pictures are not normal.
pub(super) fn folder_of_defects(top: &Path, pictures: &[PathBuf]) -> Option<PathBuf> {
    let says_so = |name: &str| {
        let words = name.split(|c: char| !c.is_alphabetic());
        words.into_iter().any(|word| DEFECTS.iter().any(|defect| word.eq_ignore_ascii_case(defect)))
    };
    let mut last = None;
    pictures.iter().find_map(|picture| {
        let folder = picture.parent()?;
        // They are sorted by name.
        if last.replace(folder) == Some(folder) {
            return None;
        }
        let mut between = folder.ancestors().take_while(|above| *above != top);
        between.find(|above| above.file_name().is_some_and(|name| says_so(&name.to_string_lossy()))).map(Path::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_named_after_defects_are_found() {
        let found = |path: &str| {
            let found = folder_of_defects(Path::new("bad/parts"), &[PathBuf::from(path)]);
            found.map(|folder| folder.to_string_lossy().into_owned())
        };
        assert_eq!(found("bad/parts/a.png"), None);
        assert_eq!(found("bad/parts/badge/a.png"), None);
        assert_eq!(found("bad/parts/monday/bad.png"), None);
        assert_eq!(found("bad/parts/Bad/a.png").as_deref(), Some("bad/parts/Bad"));
        assert_eq!(found("bad/parts/broken_large/new/a.png").as_deref(), Some("bad/parts/broken_large"));
        assert_eq!(found("bad/parts/line 2 NG/a.png").as_deref(), Some("bad/parts/line 2 NG"));
    }
}
