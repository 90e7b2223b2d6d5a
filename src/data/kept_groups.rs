//! The groups of the pictures of a large folder, kept beside the decoded pictures: to find them again, every pixel would
//! have to be read.
//!
//! The file is a magic number, the group of each picture as four bytes, and the SHA-256 of both.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tracing::debug;

use super::decoded::{KEPT, folder};
use super::{DataError, GroupBy, Groups, Images, hex};
use crate::files::{open_own, read, replace_whole};
use crate::version;

/// How the file begins.
const MAGIC: &[u8; 16] = b"pkdgan-groups-1\n";
/// How the names of kept files end.
pub(super) const ENDING: &str = "groups";
/// Bytes of a SHA-256.
const HASH: usize = 32;

/// The groups of the images that lie at `paths`, as they were kept at an earlier time or found anew. `digest` stands for
/// names and pixels.
///
/// # Errors
/// Those of [`Groups::new`]. What cannot be kept is not.
pub(super) fn groups(by: &GroupBy, images: &Images, paths: &[PathBuf], digest: &str) -> Result<Groups, DataError> {
    let bytes = images.count() as u64 * (images.channels() * images.height() * images.width()) as u64;
    let worth = *by != GroupBy::None && bytes >= KEPT;
    let path = worth.then(folder).flatten().map(|folder| folder.join(name(by, digest)));
    if let Some(kept) = path.as_deref().and_then(|path| open(path, images.count())) {
        return Ok(kept);
    }
    let groups = Groups::new(by, images, paths)?;
    if let Some(path) = path
        && let Err(error) = replace_whole(&path, |file| file.write_all(&bytes_of(&groups)))
    {
        debug!("{error}; the next run finds the groups of its pictures again");
    }
    Ok(groups)
}

/// The name of the file. Another build may find other groups.
fn name(by: &GroupBy, digest: &str) -> PathBuf {
    let key = hex(&Sha256::digest(format!("{digest} {by} {} {}", version::VERSION, version::BUILD)));
    PathBuf::from(&key[..HASH]).with_extension(ENDING)
}

/// What is kept at a path, if it is whole and of so many images.
fn open(path: &Path, images: usize) -> Option<Groups> {
    let len = MAGIC.len() + images * size_of::<u32>() + HASH;
    let bytes = read(path, len as u64).ok().filter(|bytes| bytes.len() == len)?;
    let (content, digest) = bytes.split_at(len - HASH);
    // So that it counts as used. Where that is refused, it is found again some day.
    let _ = open_own(path, File::options().write(true)).and_then(|file| file.set_modified(SystemTime::now()));
    let places = content.strip_prefix(MAGIC).filter(|_| digest == &Sha256::digest(content)[..])?;
    Groups::from_places(places.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes) as usize))
}

fn bytes_of(groups: &Groups) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(groups.places().into_iter().flat_map(|place| (place as u32).to_le_bytes()));
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_back_as_they_were_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.groups");
        let groups = Groups::from_places([0, 1, 0, 2, 1].into_iter()).unwrap();
        let bytes = bytes_of(&groups);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(open(&path, 5).as_ref(), Some(&groups));
        assert_eq!((groups.count(), groups.largest()), (3, 2));
        assert_eq!(open(&path, 4), None);
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert_eq!(open(&path, 5), None, "byte {place}");
        }
        assert_eq!(open(&folder.path().join("none"), 5), None);
        // Groups come in the order of their first pictures.
        assert_eq!(Groups::from_places([0, 2].into_iter()), None);
    }

    #[test]
    fn each_folder_and_way_to_group_has_a_file_of_its_own() {
        let names = [name(&GroupBy::Copies, "a"), name(&GroupBy::Copies, "b"), name(&GroupBy::Folder, "a")];
        assert!(names[0] != names[1] && names[0] != names[2], "{names:?}");
    }
}
