//! Pictures of one's own, split into those that train, calibrate and evaluate.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::groups::Parts;
use super::kept_groups;
use super::{
    DataError, GroupBy, Images, LabelledImages, LeftOut, Noted, OneClass, PictureError, Pictures, Preprocessing,
    Search, hex,
};

/// Fewest normal pictures that a run is trained on.
const MIN_PICTURES: usize = 20;

/// What is held out of training to calibrate with.
#[derive(Debug, Clone, Copy)]
pub struct HoldOut<'a> {
    /// Share of the groups of normal pictures.
    pub share: f64,
    /// What makes pictures a group.
    pub group_by: &'a GroupBy,
    /// Folder of pictures that calibrate instead; empty for none.
    pub folder: &'a Path,
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
    /// What the networks are evaluated on: normal pictures of class 0 that were held out, and all anomalous ones, of
    /// class 1. Without anomalous ones, or with a folder for calibration, the pictures that calibrate.
    pub eval: LabelledImages,
    /// Which are used for what.
    pub split: OneClass,
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
    /// Reads the pictures below `folder`, and those below `anomalies` unless that is empty. A share of the groups of
    /// normal ones calibrates, one picture of each, spread evenly; where there are anomalous ones, as many more groups
    /// evaluate.
    ///
    /// # Errors
    /// Folders of which one is within the other, too few groups, and those of [`Pictures::read`] and [`super::Groups::new`].
    pub fn read(
        folder: &Path,
        anomalies: &Path,
        preprocessing: &Preprocessing,
        held: &HoldOut,
        search: &Search,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        let [has_anomalies, has_calibration] = [anomalies, held.folder].map(|path| !path.as_os_str().is_empty());
        if has_anomalies && nested(folder, anomalies) {
            return Err(DataError::Nested { normal: folder.to_owned(), anomalies: anomalies.to_owned() });
        }
        for other in [folder, anomalies].into_iter().filter(|other| !other.as_os_str().is_empty() && has_calibration) {
            if nested(held.folder, other) {
                return Err(DataError::NestedCalibration {
                    calibration: held.folder.to_owned(),
                    other: other.to_owned(),
                });
            }
        }
        let mut normal = Pictures::read(folder, preprocessing, MIN_PICTURES, search, progress)?;
        let mut read_more = |wanted: bool, folder: &Path| {
            wanted.then(|| Pictures::read(folder, preprocessing, 1, search, progress)).transpose()
        };
        let calibrating = read_more(has_calibration, held.folder)?;
        let anomalous = read_more(has_anomalies, anomalies)?;

        let mut folders = vec![(folder, Some(&normal)), (anomalies, anomalous.as_ref())];
        if has_calibration {
            folders.push((held.folder, calibrating.as_ref()));
        }
        let (digest, names) = (digest(&folders, true)?, digest(&folders, false)?);
        let grey = folders.iter().filter_map(|(_, pictures)| *pictures).all(Pictures::are_grey);

        let count = normal.paths.len();
        if let Some(calibrating) = calibrating {
            normal.images = normal.images.then(calibrating.images);
            normal.paths.extend(calibrating.paths);
            normal.skipped.extend(calibrating.skipped);
            normal.left_out.extend(calibrating.left_out);
            normal.noted.extend(&calibrating.noted);
        }
        let groups = kept_groups::groups(held.group_by, &normal.images, &normal.paths, &digest)?;
        let calibration_evaluates = has_calibration || !has_anomalies;
        let Parts { train_groups, train, calibration, eval } = groups.divide(count, held.share, !calibration_evaluates);
        let pictures = normal.paths.len();
        if train.is_empty() || calibration.is_empty() || (eval.is_empty() && !calibration_evaluates) {
            let folder = if has_calibration { held.folder } else { folder }.to_owned();
            let least = if has_calibration { 1 } else { 2 + usize::from(has_anomalies) };
            let groups = if has_calibration { calibration.len() } else { groups.count() };
            return Err(DataError::TooFewGroups { folder, pictures, groups, least });
        }
        let eval = if calibration_evaluates { calibration.clone() } else { eval };
        let used = train.len() + calibration.len() + if calibration_evaluates { 0 } else { eval.len() };
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
        if let Some(anomalous) = anomalous {
            images = images.then(anomalous.images);
            labels.resize(labels.len() + anomalous.paths.len(), 1);
            eval_paths.extend(anomalous.paths);
            skipped.extend(anomalous.skipped);
            left_out.extend(anomalous.left_out);
            noted.extend(&anomalous.noted);
        }
        Ok(Self {
            split: OneClass { normal: 0, train, calibration, test: (0..labels.len()).collect() },
            train: LabelledImages { images: normal.images, labels: vec![0; pictures] },
            eval: LabelledImages { images, labels },
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

/// Whether one of two folders is within the other.
fn nested(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    one.starts_with(&other) || other.starts_with(&one)
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
