//! The decoded pictures of a folder: one file of bytes that is read by offset, so that memory does not grow with their
//! number. A large one stays in the user's cache folder, and the next run on the same folder takes it as it is.
//!
//! The file is a header, the pixels of every listed file, the SHA-256 of each picture's pixels, and a byte that says
//! what became of each. It appears whole. The header holds a key that stands for the listed files and how they are
//! decoded, and a digest of all but the pixels.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::kept_groups;
use super::listing::Listing;
use super::memory::MemoryBudget;
use super::{
    CACHE_VARIABLE, DataError, Noted, PictureError, Preprocessing, Remarks, cache_folder, hex, read_noted, read_pixels,
};
use crate::files::{PARTIAL, Whole, free_space, make_folder, open_own, read_at, scratch, write_at};
use crate::format;
use crate::threads::start_each;
use crate::version;

/// How the file begins.
const MAGIC: &[u8; 16] = b"pkdgan-pictures\n";
/// Bytes before the first pixel. A multiple of what disks read at once.
const HEADER: u64 = 4096;
/// Numbers of the header before those of what was noted.
const NUMBERS: usize = 3;
/// Bytes of a SHA-256.
const HASH: usize = 32;
/// Fewest bytes of pixels that are worth keeping: fewer are decoded in a fraction of a second.
pub(super) const KEPT: u64 = 4 << 20;
/// How the names of kept files end.
const ENDING: &str = "raw";
/// How long a kept file stays that nobody uses.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Hashes that are read at a time.
const HASHES: usize = 1 << 12;
/// Results on their way from the threads that decode.
const WAITING: usize = 1 << 10;

/// The SHA-256 of a picture's pixels.
pub(super) type Hash = [u8; HASH];

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Became {
    /// It cannot be used.
    Nothing = 0,
    /// A picture without colours.
    Grey = 1,
    /// A picture with colours.
    Colour = 2,
}

/// The decoded pictures of a folder.
#[derive(Debug)]
pub(super) struct Decoded {
    file: File,
    /// Where it lies, or the folder where it has no name.
    path: PathBuf,
    /// Bytes of a picture.
    size: usize,
    /// By file.
    became: Vec<Became>,
    noted: Noted,
}

/// Where the file goes while it is written.
enum Target {
    Kept(Whole),
    Nameless(File),
}

impl Target {
    fn file(&self) -> &File {
        match self {
            Self::Kept(whole) => whole.file(),
            Self::Nameless(file) => file,
        }
    }
}

impl Decoded {
    /// The decoded pictures of a listed folder as they were kept at an earlier time, if they still are what a decoder
    /// would make of its files; with them what is wrong with those that cannot be used, in their order.
    pub(super) fn kept(listing: &Listing, preprocessing: &Preprocessing) -> Option<(Self, Vec<PictureError>)> {
        let files = listing.files.len();
        let size = size(preprocessing);
        if bytes(files, size) < KEPT {
            return None;
        }
        let path = folder()?.join(name(listing, preprocessing));
        let found = Self::open(&path, &key(listing, preprocessing), files, size)?;
        // A file may have become readable without a sign of it.
        let problems = found.problems(listing, preprocessing)?;
        Some((found, problems))
    }

    /// Decodes the pictures of a listed folder, by every core, and keeps them if they are worth it; with them what is
    /// wrong with files that cannot be used, in their order. `progress` hears how many files are decoded.
    ///
    /// # Errors
    /// No place for the file, or no room.
    pub(super) fn make(
        listing: &Listing,
        preprocessing: &Preprocessing,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Self, Vec<PictureError>), DataError> {
        let size = size(preprocessing);
        let bytes = bytes(listing.files.len(), size);
        let folder = place(bytes)?;
        let failed = |source| DataError::Decoded { path: folder.clone(), source };
        // What was changed a moment ago may be changed again without a sign of it.
        let target = if bytes >= KEPT && listing.settled {
            remove_unused(&folder);
            let path = folder.join(name(listing, preprocessing));
            Target::Kept(Whole::begin(&path).map_err(|error| failed(error.source))?)
        } else {
            Target::Nameless(scratch(&folder).map_err(failed)?)
        };
        let (became, noted, problems) =
            decode_all(listing, preprocessing, target.file(), size, progress).map_err(failed)?;
        let decoded =
            Self { file: target.file().try_clone().map_err(failed)?, path: folder.clone(), size, became, noted };
        if let Target::Kept(whole) = target {
            decoded.write_header(&key(listing, preprocessing)).map_err(failed)?;
            whole.finish().map_err(|error| failed(error.source))?;
        }
        Ok((decoded, problems))
    }

    /// What is kept at a path, if it has this key and is whole.
    fn open(path: &Path, key: &Hash, files: usize, size: usize) -> Option<Self> {
        let file = open_own(path, File::options().read(true)).ok()?;
        let mut decoded =
            Self { file, path: path.to_owned(), size, became: vec![Became::Nothing; files], noted: Noted::default() };
        match decoded.check(key) {
            Ok(()) => {
                // So that it counts as used. Where that is refused, it is decoded again some day.
                let _ = decoded.file.set_modified(SystemTime::now());
                Some(decoded)
            }
            Err(error) => {
                debug!("{}: {error}; the pictures are decoded again", path.display());
                None
            }
        }
    }

    /// Reads all but pixels and compares it with the header.
    fn check(&mut self, key: &Hash) -> io::Result<()> {
        let mut header = vec![0; self.header(key, &[0; HASH]).len()];
        read_at(&self.file, &mut header, 0)?;
        let noted = header[MAGIC.len() + NUMBERS * size_of::<u64>()..].as_chunks().0;
        self.noted = Noted::from_numbers([0, 1, 2, 3, 4].map(|place| u64::from_le_bytes(noted[place])));
        let mut became = vec![0; self.became.len()];
        read_at(&self.file, &mut became, self.after_hashes())?;
        for (slot, byte) in self.became.iter_mut().zip(became) {
            *slot = match byte {
                1 => Became::Grey,
                2 => Became::Colour,
                _ => Became::Nothing,
            };
        }
        let wanted = self.header(key, &self.digest()?);
        if header == wanted { Ok(()) } else { Err(io::Error::other("it holds other pictures")) }
    }

    /// The header: magic number, format, files, bytes of each, what was noted, key, digest.
    fn header(&self, key: &Hash, digest: &Hash) -> Vec<u8> {
        let numbers = [format::DECODED, self.became.len() as u64, self.size as u64].map(u64::to_le_bytes);
        let noted = self.noted.numbers().map(u64::to_le_bytes);
        [&MAGIC[..], numbers.as_flattened(), noted.as_flattened(), key, digest].concat()
    }

    fn write_header(&self, key: &Hash) -> io::Result<()> {
        let became: Vec<u8> = self.became.iter().map(|&became| became as u8).collect();
        write_at(&self.file, &became, self.after_hashes())?;
        write_at(&self.file, &self.header(key, &self.digest()?), 0)
    }

    /// The SHA-256 of what was noted, and of all that stands behind the pixels.
    fn digest(&self) -> io::Result<Hash> {
        let mut digest = Sha256::new();
        digest.update(self.noted.numbers().map(u64::to_le_bytes).as_flattened());
        self.each_hash(|_, hash| digest.update(hash))?;
        digest.update(self.became.iter().map(|&became| became as u8).collect::<Vec<_>>());
        Ok(digest.finalize().into())
    }

    /// Calls `take` with the hash of each file's picture; what that is where there is none is left open.
    fn each_hash(&self, mut take: impl FnMut(usize, &[u8])) -> io::Result<()> {
        let mut hashes = vec![0; HASHES * HASH];
        for first in (0..self.became.len()).step_by(HASHES) {
            let some = &mut hashes[..(self.became.len() - first).min(HASHES) * HASH];
            read_at(&self.file, some, self.hash_offset(first))?;
            for (place, hash) in some.chunks_exact(HASH).enumerate() {
                take(first + place, hash);
            }
        }
        Ok(())
    }

    /// What is wrong with the files that cannot be used; none where one of them can be used now.
    fn problems(&self, listing: &Listing, preprocessing: &Preprocessing) -> Option<Vec<PictureError>> {
        let memory = MemoryBudget::of_machine();
        let unused = listing.files.iter().zip(&self.became).filter(|(_, became)| **became == Became::Nothing);
        unused.map(|(path, _)| read_pixels(path, preprocessing, &memory).err().map(PictureError::found)).collect()
    }

    /// What became of each file.
    pub(super) fn became(&self) -> &[Became] {
        &self.became
    }

    /// What is worth knowing of the usable pictures.
    pub(super) fn noted(&self) -> &Noted {
        &self.noted
    }

    /// Whether no picture has a colour.
    pub(super) fn are_grey(&self) -> bool {
        self.became.iter().all(|&became| became != Became::Colour)
    }

    /// Calls `take` with the hash of each usable picture, in the order of the files.
    ///
    /// # Errors
    /// An unreadable file.
    pub(super) fn hashes(&self, mut take: impl FnMut(&[u8])) -> Result<(), DataError> {
        let usable = |place: usize| self.became[place] != Became::Nothing;
        let read = self.each_hash(|place, hash| {
            if usable(place) {
                take(hash);
            }
        });
        read.map_err(|source| DataError::Decoded { path: self.path.clone(), source })
    }

    /// Reads the first values of a picture.
    ///
    /// # Errors
    /// An unreadable file.
    pub(super) fn read(&self, place: usize, values: &mut [u8]) -> Result<(), DataError> {
        let read = read_at(&self.file, values, HEADER + (place * self.size) as u64);
        read.map_err(|source| DataError::Decoded { path: self.path.clone(), source })
    }

    fn hash_offset(&self, place: usize) -> u64 {
        hash_offset(self.became.len(), self.size, place)
    }

    fn after_hashes(&self) -> u64 {
        self.hash_offset(self.became.len())
    }
}

/// Where the hash of a picture lies, of so many of a size.
fn hash_offset(files: usize, size: usize, place: usize) -> u64 {
    HEADER + files as u64 * size as u64 + (place * HASH) as u64
}

/// The hash of a picture, and whether it has no colours: then that of one value a pixel, so that it is the same however
/// many the network takes.
fn hash(pixels: &[u8], channels: usize) -> (Hash, Became) {
    let (first, rest) = pixels.split_at(pixels.len() / channels.max(1));
    if rest.chunks_exact(first.len().max(1)).all(|plane| plane == first) {
        (Sha256::digest(first).into(), Became::Grey)
    } else {
        (Sha256::digest(pixels).into(), Became::Colour)
    }
}

/// Decodes every file into its place.
fn decode_all(
    listing: &Listing,
    preprocessing: &Preprocessing,
    out: &File,
    size: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> io::Result<(Vec<Became>, Noted, Vec<PictureError>)> {
    let files = &listing.files;
    let memory = MemoryBudget::of_machine();
    let next = AtomicUsize::new(0);
    let decode = |place: usize, path: &Path| -> io::Result<Result<(Became, Remarks), PictureError>> {
        let (pixels, remarks) = match read_noted(path, preprocessing, false, &memory) {
            Ok(read) => read,
            Err(error) => return Ok(Err(error.found())),
        };
        let (hash, became) = hash(&pixels, preprocessing.channels);
        write_at(out, &pixels, HEADER + (place * size) as u64)?;
        write_at(out, &hash, hash_offset(files.len(), size, place))?;
        Ok(Ok((became, remarks)))
    };
    let work = |sender: mpsc::SyncSender<_>| {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = files.get(place) else { break };
            if sender.send((place, decode(place, path))).is_err() {
                break;
            }
        }
    };
    let mut became = vec![Became::Nothing; files.len()];
    let mut noted = Noted::default();
    let mut problems = Vec::new();
    let mut take = |place: usize, result| match result {
        Ok((one, remarks)) => {
            became[place] = one;
            noted.add(&remarks);
        }
        Err(error) => problems.push((place, error)),
    };
    thread::scope(|scope| -> io::Result<()> {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
        let started = start_each(0..threads, |_| {
            let (sender, work) = (sender.clone(), &work);
            thread::Builder::new().spawn_scoped(scope, move || work(sender))
        });
        if started.is_err() {
            // This one has to do it.
            for (place, path) in files.iter().enumerate() {
                take(place, decode(place, path)?);
                progress(place + 1, files.len());
            }
            return Ok(());
        }
        drop(sender);
        for (done, (place, result)) in receiver.into_iter().enumerate() {
            take(place, result?);
            progress(done + 1, files.len());
        }
        Ok(())
    })?;
    problems.sort_unstable_by_key(|(place, _)| *place);
    // The hash of the last one may be missing.
    let end = hash_offset(files.len(), size, files.len());
    if out.metadata()?.len() < end {
        out.set_len(end)?;
    }
    Ok((became, noted, problems.into_iter().map(|(_, error)| error).collect()))
}

/// Bytes of a picture.
fn size(preprocessing: &Preprocessing) -> usize {
    preprocessing.channels * preprocessing.height * preprocessing.width
}

/// Bytes of the file for so many pictures of a size.
fn bytes(files: usize, size: usize) -> u64 {
    HEADER + files as u64 * (size + HASH + 1) as u64
}

/// Where decoded pictures are kept, if there is a place.
pub(super) fn folder() -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join("pictures"))
}

/// The folder for a file of so many bytes: that of decoded pictures in the user's cache folder, or where that cannot be
/// written to the system's folder of passing files.
fn place(bytes: u64) -> Result<PathBuf, DataError> {
    let made = folder().map(|folder| match make_folder(&folder) {
        Ok(()) => scratch(&folder).map(|_| folder.clone()).map_err(|error| (folder, error)),
        Err(error) => Err((folder, error)),
    });
    let folder = match made {
        Some(Ok(folder)) => folder,
        Some(Err((folder, error))) => {
            let passing = std::env::temp_dir();
            warn!(
                "{}: {error}; decoded pictures go to {}, and the next run decodes them again; {CACHE_VARIABLE} names \
                 another folder",
                folder.display(),
                passing.display()
            );
            passing
        }
        None => std::env::temp_dir(),
    };
    match free_space(&folder) {
        Some(free) if free < bytes => Err(DataError::NoRoom { folder, needed: bytes, free }),
        _ => Ok(folder),
    }
}

/// The name of the file for a folder and a way to decode, so that there is one of each.
fn name(listing: &Listing, preprocessing: &Preprocessing) -> PathBuf {
    let folder = listing.folder.canonicalize().unwrap_or_else(|_| listing.folder.clone());
    let mut digest = Sha256::new();
    digest.update(folder.as_os_str().as_encoded_bytes());
    digest.update(shape(preprocessing));
    let digest = hex(&digest.finalize());
    PathBuf::from(&digest[..HASH]).with_extension(ENDING)
}

/// What stands for the listed files and the way to decode them. Another build may decode in another way.
fn key(listing: &Listing, preprocessing: &Preprocessing) -> Hash {
    let mut digest = Sha256::new();
    digest.update(listing.key);
    digest.update(shape(preprocessing));
    digest.update(format!("{} {}", version::VERSION, version::BUILD));
    digest.finalize().into()
}

fn shape(preprocessing: &Preprocessing) -> String {
    let Preprocessing { channels, height, width, fit, range, .. } = preprocessing;
    format!("\n{channels} {height} {width} {fit} {range}\n")
}

/// Removes kept files that nobody has used for long, and what a process that was killed has left. What cannot be
/// removed stays.
fn remove_unused(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let old = || -> io::Result<bool> {
            let age = fs::symlink_metadata(&path)?.modified()?.elapsed().unwrap_or_default();
            Ok(age > UNUSED)
        };
        let partial = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PARTIAL.as_bytes()));
        let kept = [ENDING, kept_groups::ENDING];
        let ours = partial || path.extension().is_some_and(|ending| kept.iter().any(|one| ending == *one));
        if ours && old().unwrap_or(false) {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_picture_is_the_same_with_one_value_a_pixel_and_with_three() {
        let (one, three) = (hash(&[1, 2, 3, 4], 1), hash(&[1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], 3));
        assert_eq!((one.0, one.1), (three.0, Became::Grey));
        assert_eq!(three.1, Became::Grey);
        let other = hash(&[1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 5], 3);
        assert_eq!(other.1, Became::Colour);
        assert_ne!(other.0, three.0);
    }

    #[test]
    fn only_old_files_of_ours_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["old.raw", ".partial-old", "old.txt", "new.raw"];
        for name in names {
            let file = File::create_new(folder.path().join(name)).unwrap();
            if name != "new.raw" {
                file.set_modified(SystemTime::now() - 2 * UNUSED).unwrap();
            }
        }
        remove_unused(folder.path());
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, false, true, true]);
    }
}
