//! Folders of pictures: read on every core, scaled to what a network takes, the unusable ones set aside.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::memory::MemoryBudget;
use super::{DataError, Images, LeftOut, Noted, PictureError, Preprocessing, Remarks, Search, read_noted};
use crate::threads::start_each;

/// Of the files below a folder at most one in so many may be unusable.
const SKIPPED_OF: usize = 20;

/// The pictures below a folder.
#[derive(Debug)]
pub struct Pictures {
    /// The usable ones, scaled.
    pub images: Images,
    /// Where each lies, sorted by name.
    pub paths: Vec<PathBuf>,
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
    /// How many those are, and which files are none that are wanted.
    pub left_out: LeftOut,
    /// What is worth knowing of the usable ones.
    pub noted: Noted,
}

impl Pictures {
    /// Reads every file below `folder` as a picture; `progress` hears how many of how many are read. What comes of it does
    /// not depend on the number of threads.
    ///
    /// # Errors
    /// No such folder, fewer than `least` usable pictures, and more than 5 % of unusable files, the first of which are
    /// named.
    pub fn read(
        folder: &Path,
        preprocessing: &Preprocessing,
        least: usize,
        search: &Search,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        if !folder.is_dir() {
            return Err(DataError::NoFolder { path: folder.to_owned() });
        }
        let (mut files, mut skipped, mut left_out) = (Vec::new(), Vec::new(), LeftOut::default());
        let mut leave_out = |error: PictureError| {
            left_out.add(&error);
            if !error.problem.is_left_out() {
                skipped.push(error);
            }
        };
        for file in search.files_below(folder) {
            match file {
                Ok(path) => files.push(path),
                Err(error) => leave_out(error),
            }
        }
        let mut noted = Noted::default();
        let mut paths = Vec::with_capacity(files.len());
        let mut pixels = Vec::new();
        for (path, read) in files.iter().zip(read_all(&files, preprocessing, progress)) {
            match read {
                Ok((read, remarks)) => {
                    pixels.extend(read);
                    paths.push(path.clone());
                    noted.add(&remarks);
                }
                Err(error) => leave_out(error.found()),
            }
        }
        let all = paths.len() + skipped.len();
        let folder = folder.to_owned();
        if skipped.len() * SKIPPED_OF > all {
            return Err(DataError::Unusable { folder, all, skipped });
        }
        if paths.len() < least {
            return Err(DataError::TooFewPictures { folder, usable: paths.len(), least });
        }
        let Preprocessing { channels, height, width, .. } = *preprocessing;
        Ok(Self { images: Images::new(paths.len(), channels, height, width, pixels)?, paths, skipped, left_out, noted })
    }
}

/// What comes of each file, in their order.
fn read_all(
    files: &[PathBuf],
    preprocessing: &Preprocessing,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<Result<(Vec<u8>, Remarks), PictureError>> {
    let memory = MemoryBudget::of_machine();
    let read = |path: &PathBuf| read_noted(path, preprocessing, false, &memory);
    let next = AtomicUsize::new(0);
    let mut results = Vec::with_capacity(files.len());
    let work = |sender: mpsc::Sender<_>| {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = files.get(place) else { break };
            if sender.send((place, read(path))).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
        let started = start_each(0..threads, |_| {
            let (sender, work) = (sender.clone(), &work);
            thread::Builder::new().spawn_scoped(scope, move || work(sender))
        });
        if started.is_err() {
            work(sender.clone());
        }
        drop(sender);
        for result in receiver {
            results.push(result);
            progress(results.len(), files.len());
        }
    });
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
