//! Pictures of one's own, split into those that train, calibrate and evaluate.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::one_class::{held_out, spread};
use super::{DataError, Images, LabelledImages, OneClass, PictureError, Pictures, Preprocessing, hex};

/// Fewest normal pictures that a run is trained on.
const MIN_PICTURES: usize = 20;

/// Normal pictures, and perhaps anomalous ones, read and split.
#[derive(Debug)]
pub struct OwnImages {
    /// The normal ones, of class 0.
    pub train: LabelledImages,
    /// What the networks are evaluated on: normal pictures of class 0 that were held out, and all anomalous ones, of
    /// class 1. Without anomalous ones, the pictures that calibrate.
    pub eval: LabelledImages,
    /// Which are used for what.
    pub split: OneClass,
    /// Where each evaluation picture lies.
    pub eval_paths: Vec<PathBuf>,
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
    /// Stands for the names and the pixels of all pictures used.
    pub digest: String,
    /// Stands for their names alone, as runs of earlier versions have it.
    pub names: String,
    grey: bool,
}

impl OwnImages {
    /// Reads the pictures below `folder`, and those below `anomalies` unless that is empty. Of the normal ones a
    /// `share` calibrates, spread evenly; where there are anomalous ones, as many more evaluate.
    ///
    /// # Errors
    /// Folders of which one is within the other, and those of [`Pictures::read`].
    pub fn read(
        folder: &Path,
        anomalies: &Path,
        preprocessing: &Preprocessing,
        share: f64,
        cross_file_systems: bool,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        let has_anomalies = !anomalies.as_os_str().is_empty();
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let (outer, inner) = (real(folder), real(anomalies));
        if has_anomalies && (inner.starts_with(&outer) || outer.starts_with(&inner)) {
            return Err(DataError::Nested { normal: folder.to_owned(), anomalies: anomalies.to_owned() });
        }
        let cross = cross_file_systems;
        let normal = Pictures::read(folder, preprocessing, MIN_PICTURES, cross, progress)?;
        let anomalous =
            has_anomalies.then(|| Pictures::read(anomalies, preprocessing, 1, cross, progress)).transpose()?;

        let count = normal.paths.len();
        let wanted = held_out(count, share).max(1);
        let (train, calibration) = spread((0..count).collect(), wanted);
        let (train, eval) = if has_anomalies { spread(train, wanted) } else { (train, calibration.clone()) };

        let folders = [(folder, Some(&normal)), (anomalies, anomalous.as_ref())];
        let (digest, names) = (digest(&folders, true)?, digest(&folders, false)?);
        let grey = [Some(&normal), anomalous.as_ref()].into_iter().flatten().all(Pictures::are_grey);

        let mut eval_paths: Vec<PathBuf> = eval.iter().map(|&index| normal.paths[index].clone()).collect();
        let mut images = normal.images.select(&eval)?;
        let mut labels = vec![0; eval.len()];
        let mut skipped = normal.skipped;
        if let Some(anomalous) = anomalous {
            images = images.then(anomalous.images);
            labels.resize(labels.len() + anomalous.paths.len(), 1);
            eval_paths.extend(anomalous.paths);
            skipped.extend(anomalous.skipped);
        }
        Ok(Self {
            split: OneClass { normal: 0, train, calibration, test: (0..labels.len()).collect() },
            train: LabelledImages { images: normal.images, labels: vec![0; count] },
            eval: LabelledImages { images, labels },
            eval_paths,
            skipped,
            digest,
            names,
            grey,
        })
    }

    /// The same with one value a pixel, where no pixel of any picture has a colour.
    pub fn grey(&self) -> Option<(Images, Images)> {
        self.grey.then(|| (self.train.images.first_channel(), self.eval.images.first_channel()))
    }
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
