//! Masks of defects, as collections of inspected parts have them: beside `test/KIND/NAME.png` lies
//! `ground_truth/KIND/NAME_mask.png`, or `ground_truth/KIND/NAME.png`. What is not black is the defect.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{MemoryBudget, Placement, Prepared, Preprocessing, read_prepared};

/// The folder of masks beside that of the pictures.
const FOLDER: &str = "ground_truth";

/// Where a picture lies in the network's pixels, and which of those its defect covers by half or more; none of a normal one.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPlaces {
    /// Where the picture lies.
    pub placement: Placement,
    /// Whether each pixel of the network lies on the defect, row by row; absent of a normal picture.
    pub on_defect: Option<Vec<bool>>,
}

/// What masks say of pictures.
#[derive(Debug, Default)]
pub struct GroundTruth {
    /// Of each picture; absent of those whose defect may lie anywhere.
    pub places: Vec<Option<KnownPlaces>>,
    /// Anomalous pictures without a mask that can be used, and why.
    pub unusable: Vec<(PathBuf, String)>,
}

/// The folder of masks that belongs to a folder of anomalous pictures, where there is one.
pub fn masks_beside(anomalies: &Path) -> Option<PathBuf> {
    let folder = anomalies.parent()?.join(FOLDER);
    (!anomalies.as_os_str().is_empty() && folder.is_dir()).then_some(folder)
}

impl GroundTruth {
    /// Reads the masks of the anomalous ones of some pictures, which lie below `anomalies`; none where no folder of masks lies
    /// beside it. Masks are scaled as their pictures are.
    pub fn read(
        anomalies: &Path,
        pictures: &[(PathBuf, bool)],
        preprocessing: &Preprocessing,
        budget: &MemoryBudget,
    ) -> Option<Self> {
        let masks = masks_beside(anomalies)?;
        let read = pictures.par_iter().map(|(picture, anomalous)| {
            known_places(picture, anomalous.then_some((anomalies, &masks)), preprocessing, budget)
        });
        let read: Vec<_> = read.collect();
        let mut truth = Self::default();
        for (places, (picture, _)) in read.into_iter().zip(pictures) {
            match places {
                Ok(places) => truth.places.push(Some(places)),
                Err(why) => {
                    truth.places.push(None);
                    truth.unusable.push((picture.clone(), why));
                }
            }
        }
        Some(truth)
    }

    /// Pictures whose defect is known.
    pub fn masked(&self) -> usize {
        self.places.iter().flatten().filter(|places| places.on_defect.is_some()).count()
    }
}

/// What is known of a picture; of an anomalous one by the mask in the second of two folders, where its own is the first.
fn known_places(
    picture: &Path,
    folders: Option<(&Path, &PathBuf)>,
    preprocessing: &Preprocessing,
    budget: &MemoryBudget,
) -> Result<KnownPlaces, String> {
    let grey = Preprocessing { channels: 1, ..*preprocessing };
    let read =
        |path: &Path| read_prepared(path, &grey, false, false, budget).map_err(|error| error.problem.to_string());
    let mask = folders.map(|(pictures, masks)| mask_of(picture, pictures, masks).ok_or("it has no mask"));
    let mask = mask.transpose()?;
    let Prepared { size, .. } = read(picture)?;
    let placement = Placement::new(&grey, size);
    let Some(mask) = mask else { return Ok(KnownPlaces { placement, on_defect: None }) };
    let Prepared { pixels, size: found, .. } = read(&mask).map_err(|problem| format!("its mask: {problem}"))?;
    if found != size {
        let [[width, height], [w, h]] = [size, found];
        return Err(format!("its mask has {w} x {h} pixels, and the picture {width} x {height}"));
    }
    let highest = pixels.iter().copied().max().unwrap_or_default();
    if highest == 0 {
        return Err("its mask is black".into());
    }
    // A defect smaller than half a pixel lies where most of it does.
    let least = highest.min(128);
    Ok(KnownPlaces { placement, on_defect: Some(pixels.into_iter().map(|value| value >= least).collect()) })
}

/// The mask of a picture, where there is one.
fn mask_of(picture: &Path, pictures: &Path, masks: &Path) -> Option<PathBuf> {
    let folder = masks.join(picture.parent()?.strip_prefix(pictures).ok()?);
    let stem = picture.file_stem()?;
    ["_mask.png", ".png"].into_iter().find_map(|ending| {
        let mut name = stem.to_owned();
        name.push(ending);
        Some(folder.join(name)).filter(|mask| mask.is_file())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{GrayImage, Luma};
    use tempfile::TempDir;

    use super::*;
    use crate::data::{Fit, Range};

    #[test]
    fn masks_are_found_scaled_and_those_that_say_nothing_are_named() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["test/good", "test/crack", "test/dent", "ground_truth/crack"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let picture = |name: &str, width: u32, white: [u32; 4]| {
            let [left, top, right, bottom] = white;
            let inside = |x, y| (left..right).contains(&x) && (top..bottom).contains(&y);
            GrayImage::from_fn(width, 80, |x, y| Luma([if inside(x, y) { 255 } else { 0 }])).save(path(name)).unwrap();
        };
        let names = ["good/0", "crack/0", "crack/1", "crack/2", "crack/3", "crack/4", "dent/0"];
        names.iter().for_each(|name| picture(&format!("test/{name}.png"), 160, [0; 4]));
        picture("ground_truth/crack/0_mask.png", 160, [40, 20, 60, 40]);
        picture("ground_truth/crack/1.png", 160, [80, 40, 82, 42]);
        picture("ground_truth/crack/2_mask.png", 80, [0, 0, 9, 9]);
        picture("ground_truth/crack/3_mask.png", 160, [0; 4]);
        fs::write(path("ground_truth/crack/4_mask.png"), "no picture").unwrap();
        let pictures = names.map(|name| (path(&format!("test/{name}.png")), !name.starts_with("good")));
        let preprocessing =
            Preprocessing { channels: 3, height: 16, width: 16, side: 16, fit: Fit::Pad, range: Range::Full };
        let budget = MemoryBudget::new(1 << 30);
        let truth = GroundTruth::read(&path("test"), &pictures, &preprocessing, &budget).unwrap();
        assert_eq!((truth.masked(), truth.places.len()), (2, 7));
        let on = |place: usize| {
            let known = truth.places[place].as_ref()?.on_defect.as_ref()?;
            Some((0..256).filter(|&place| known[place]).map(|place| (place % 16, place / 16)).collect::<Vec<_>>())
        };
        assert_eq!(on(0), None);
        // Ten of its pixels are one, and the picture begins in row 4.
        assert_eq!(on(1).unwrap(), [(4, 6), (5, 6), (4, 7), (5, 7)]);
        assert_eq!(on(2).unwrap(), [(8, 8)]);
        let why: Vec<&str> = truth.unusable.iter().map(|(_, why)| why.as_str()).collect();
        assert!(why[0].contains("80 x 80") && why[1] == "its mask is black", "{why:?}");
        assert!(why[2].starts_with("its mask: ") && why[3] == "it has no mask", "{why:?}");
        assert!(GroundTruth::read(&path("test/crack"), &pictures, &preprocessing, &budget).is_none());
    }
}
