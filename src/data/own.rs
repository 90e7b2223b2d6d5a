//! Pictures of one's own, split into those that train, calibrate and evaluate.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::groups::Parts;
use super::kept_groups;
use super::layout::folder_of_defects;
use super::{
    DataError, GroupBy, Images, LabelledImages, LeftOut, Noted, OneClass, PictureError, Pictures, Preprocessing,
    Search, hex,
};

/// Fewest normal pictures that a run is trained on.
const MIN_PICTURES: usize = 20;

/// Where pictures of one's own lie. All but the first may be empty, for none.
#[derive(Debug, Clone, Copy)]
pub struct OwnFolders<'a> {
    /// Normal pictures to train on.
    pub normal: &'a Path,
    /// Anomalous ones to test with.
    pub anomalies: &'a Path,
    /// Normal ones to test with, so that none of the first are held out for that. It may lie within the folder of anomalous ones,
    /// as `test/good` does in `test`: what is in here is normal.
    pub test_normal: &'a Path,
    /// Normal ones to calibrate with, so that none of the first are held out for that.
    pub calibration: &'a Path,
    /// Whether a run has begun with them: what its folders are called is no longer looked at.
    pub begun: bool,
}

/// What is held out of training to calibrate with.
#[derive(Debug, Clone, Copy)]
pub struct HoldOut<'a> {
    /// Share of the groups of normal pictures, without a folder for it.
    pub share: f64,
    /// What makes pictures a group.
    pub group_by: &'a GroupBy,
}

/// How independent the normal pictures are, and what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Independence {
    /// Normal pictures, those of a folder for calibration among them.
    pub pictures: usize,
    /// Groups that they make.
    pub groups: usize,
    /// Pictures of the largest group.
    pub largest: usize,
    /// Groups whose pictures train.
    pub train_groups: usize,
    /// Pictures that are not used, for others of their group say the same.
    pub left_out: usize,
    /// Whether the normal pictures that evaluate are those that calibrate.
    pub calibration_evaluates: bool,
}

/// Normal pictures, and perhaps anomalous ones, read and split.
#[derive(Debug)]
pub struct OwnImages {
    /// The normal ones, of class 0; those of a folder for calibration come last.
    pub train: LabelledImages,
    /// What the networks are evaluated on: normal pictures of class 0 that were held out, or those of a folder for it, and all
    /// anomalous ones, of class 1. Without anomalous ones, or with a folder for calibration, the pictures that calibrate.
    pub eval: LabelledImages,
    /// Which are used for what.
    pub split: OneClass,
    /// Where each normal picture lies.
    pub train_paths: Vec<PathBuf>,
    /// Where each evaluation picture lies.
    pub eval_paths: Vec<PathBuf>,
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
    /// How many those are, and which files are none that are wanted.
    pub left_out: LeftOut,
    /// What is worth knowing of the usable ones.
    pub noted: Noted,
    /// Stands for the names and the pixels of all pictures used.
    pub digest: String,
    /// What they make of each other.
    pub independence: Independence,
    /// Stands for their names alone, as runs of earlier versions have it.
    pub names: String,
    grey: bool,
}

impl OwnImages {
    /// Reads the pictures of all folders. A share of the groups of normal ones calibrates, one picture of each, spread
    /// evenly; where there are anomalous ones and no normal ones to test with, as many more groups evaluate.
    ///
    /// # Errors
    /// Folders of which one is within the other, a folder of normal pictures that is named after defects where no run has
    /// begun, too few groups, and those of [`Pictures::read`] and [`super::Groups::new`].
    pub fn read(
        folders: &OwnFolders,
        preprocessing: &Preprocessing,
        held: &HoldOut,
        search: &Search,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        folders.check()?;
        let &OwnFolders { normal: folder, anomalies, test_normal, calibration: held_out, begun } = folders;
        let [has_anomalies, has_test, has_calibration] =
            [anomalies, test_normal, held_out].map(|path| !path.as_os_str().is_empty());
        let mut normal = Pictures::read(folder, preprocessing, MIN_PICTURES, search, progress)?;
        if let Some(defects) = folder_of_defects(folder, &normal.paths).filter(|_| !begun) {
            return Err(DataError::DefectsAmongNormal { normal: folder.to_owned(), defects });
        }
        let mut read_more = |wanted: bool, folder: &Path, search: &Search| {
            wanted.then(|| Pictures::read(folder, preprocessing, 1, search, progress)).transpose()
        };
        let calibrating = read_more(has_calibration, held_out, search)?;
        let testing = read_more(has_test, test_normal, search)?;
        let without = test_normal.canonicalize().ok().filter(|_| has_test).into_iter().collect();
        let anomalous = read_more(has_anomalies, anomalies, &Search { without, ..search.clone() })?;

        let mut all = vec![(folder, Some(&normal)), (anomalies, anomalous.as_ref())];
        if has_calibration {
            all.push((held_out, calibrating.as_ref()));
        }
        if has_test {
            all.push((test_normal, testing.as_ref()));
        }
        let (digest, names) = (digest(&all, true)?, digest(&all, false)?);
        let grey = all.iter().filter_map(|(_, pictures)| *pictures).all(Pictures::are_grey);

        let count = normal.paths.len();
        if let Some(calibrating) = calibrating {
            normal.images = normal.images.then(calibrating.images);
            normal.paths.extend(calibrating.paths);
            normal.skipped.extend(calibrating.skipped);
            normal.left_out.extend(calibrating.left_out);
            normal.noted.extend(&calibrating.noted);
        }
        let groups = kept_groups::groups(held.group_by, &normal.images, &normal.paths, &digest)?;
        let calibration_evaluates = !has_test && (has_calibration || !has_anomalies);
        let holds_out = !has_test && !calibration_evaluates;
        let Parts { train_groups, train, calibration, eval } = groups.divide(count, held.share, holds_out);
        let pictures = normal.paths.len();
        if train.is_empty() || calibration.is_empty() || (eval.is_empty() && holds_out) {
            let folder = if has_calibration { held_out } else { folder }.to_owned();
            let least = if has_calibration { 1 } else { 2 + usize::from(holds_out) };
            let groups = if has_calibration { calibration.len() } else { groups.count() };
            return Err(DataError::TooFewGroups { folder, pictures, groups, least });
        }
        let eval = if calibration_evaluates { calibration.clone() } else { eval };
        let used = train.len() + calibration.len() + if holds_out { eval.len() } else { 0 };
        let independence = Independence {
            pictures,
            groups: groups.count(),
            largest: groups.largest(),
            train_groups,
            left_out: pictures - used,
            calibration_evaluates,
        };

        let mut eval_paths: Vec<PathBuf> = eval.iter().map(|&index| normal.paths[index].clone()).collect();
        let mut images = normal.images.select(&eval)?;
        let mut labels = vec![0; eval.len()];
        let (mut skipped, mut left_out, mut noted) = (normal.skipped, normal.left_out, normal.noted);
        for (label, more) in [(0, testing), (1, anomalous)].into_iter().filter_map(|(label, more)| Some((label, more?)))
        {
            images = images.then(more.images);
            labels.resize(labels.len() + more.paths.len(), label);
            eval_paths.extend(more.paths);
            skipped.extend(more.skipped);
            left_out.extend(more.left_out);
            noted.extend(&more.noted);
        }
        Ok(Self {
            split: OneClass { normal: 0, train, calibration, test: (0..labels.len()).collect() },
            train: LabelledImages { images: normal.images, labels: vec![0; pictures] },
            eval: LabelledImages { images, labels },
            train_paths: normal.paths,
            eval_paths,
            skipped,
            left_out,
            noted,
            digest,
            independence,
            names,
            grey,
        })
    }

    /// The same with one value a pixel, where no pixel of any picture has a colour.
    pub fn grey(&self) -> Option<(Images, Images)> {
        self.grey.then(|| (self.train.images.first_channel(), self.eval.images.first_channel()))
    }
}

impl OwnFolders<'_> {
    /// Refuses folders that share pictures, but for normal ones beside anomalous ones.
    fn check(&self) -> Result<(), DataError> {
        let &Self { normal, anomalies, test_normal, calibration, .. } = self;
        let there = |path: &Path| !path.as_os_str().is_empty();
        if there(anomalies) && nested(normal, anomalies) {
            return Err(DataError::Nested { normal: normal.to_owned(), anomalies: anomalies.to_owned() });
        }
        let within = |one: &Path, other: &Path| one != other && canonical(one).starts_with(canonical(other));
        if there(test_normal) && there(anomalies) && nested(test_normal, anomalies) && !within(test_normal, anomalies) {
            return Err(DataError::Nested { normal: test_normal.to_owned(), anomalies: anomalies.to_owned() });
        }
        for (one, others) in [(calibration, &[normal, anomalies, test_normal][..]), (test_normal, &[normal])] {
            if let Some(other) = others.iter().find(|other| there(one) && there(other) && nested(one, other)) {
                return Err(DataError::NestedHeldOut { held_out: one.to_owned(), other: (*other).to_owned() });
            }
        }
        Ok(())
    }
}

/// Whether one of two folders is within the other.
fn nested(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(canonical);
    one.starts_with(&other) || other.starts_with(&one)
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The SHA-256 of the names of pictures below their folders, and of their pixels if so asked, in hexadecimal.
fn digest(folders: &[(&Path, Option<&Pictures>)], with_pixels: bool) -> Result<String, DataError> {
    let mut digest = Sha256::new();
    for &(folder, pictures) in folders {
        let paths = pictures.map_or(&[][..], |pictures| pictures.paths.as_slice());
        digest.update((paths.len() as u64).to_le_bytes());
        for path in paths {
            let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name.as_bytes());
        }
        if let Some(pictures) = pictures.filter(|_| with_pixels) {
            pictures.hashes(|hash| digest.update(hash))?;
        }
    }
    Ok(hex(&digest.finalize()))
}
