//! Unpacking an archive of which nothing is believed: only the files expected, in their lengths, below a new folder.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{CopyError, EntryFault, FetchError, copy, unwritable};
use crate::data::manifest::SLACK;
use crate::data::verify::check_file;
use crate::data::{Content, Packed};

/// Most entries that are looked at.
const MAX_ENTRIES: usize = 64;

/// Unpacks the contents of `packed` from `archive`, where they lie in the folder `top`, checks them, and puts them as
/// that folder into `folder`, in place of what may be there. The archive goes.
#[cfg_attr(not(fuzzing), allow(unreachable_pub, reason = "the fuzz target reaches it"))]
pub fn unpack(archive: &Path, top: &str, packed: &Packed, folder: &Path) -> Result<(), FetchError> {
    let space = tempfile::Builder::new().prefix(".partial-").tempdir_in(folder).map_err(unwritable(folder))?;
    let new = space.path().join(top);
    fs::create_dir(&new).map_err(unwritable(&new))?;
    extract(archive, top, packed, &new)?;
    for content in &packed.contents {
        check_file(&new.join(&content.name), content)?;
    }

    let place = folder.join(top);
    if place.symlink_metadata().is_ok() {
        fs::rename(&place, space.path().join("replaced")).map_err(unwritable(&place))?;
    }
    fs::rename(&new, &place).map_err(unwritable(&place))?;
    fs::remove_file(archive).map_err(unwritable(archive))
}

/// Writes the contents into the folder `new`, which is empty.
fn extract(archive: &Path, top: &str, packed: &Packed, new: &Path) -> Result<(), FetchError> {
    let damaged = |reason| FetchError::Archive { archive: archive.to_owned(), reason };
    let wrong = |entry: &str, fault| FetchError::Entry { archive: archive.to_owned(), entry: entry.to_owned(), fault };

    let file = BufReader::new(File::open(archive).map_err(damaged)?);
    let mut tar = Archive::new(MultiGzDecoder::new(file).take(packed.limit()));
    // Raw: headers that rename or resize the entry after them are not heeded.
    for (number, entry) in tar.entries().map_err(damaged)?.raw(true).enumerate() {
        if number == MAX_ENTRIES {
            return Err(FetchError::TooManyEntries { archive: archive.to_owned(), limit: MAX_ENTRIES });
        }
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
        match expected(&entry, &name, top, &packed.contents) {
            Err(fault) => return Err(wrong(&name, fault)),
            Ok(None) => {}
            Ok(Some(content)) => {
                let path = new.join(&content.name);
                let mut output = match File::create_new(&path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(wrong(&name, EntryFault::Twice));
                    }
                    created => created.map_err(unwritable(&path))?,
                };
                copy(&mut entry, &mut output, &mut |_| {}).map_err(|error| match error {
                    CopyError::Read(reason) => damaged(reason),
                    CopyError::Write(reason) => unwritable(&path)(reason),
                })?;
                output.sync_all().map_err(unwritable(&path))?;
            }
        }
    }
    let missing = packed.contents.iter().find(|content| !new.join(&content.name).exists());
    missing.map_or(Ok(()), |content| Err(wrong(&format!("{top}/{}", content.name), EntryFault::Missing)))
}

/// Which of the contents an entry is; none for the folder itself, for notes on the next entry, and for small files
/// that nobody asked for.
fn expected<'a>(
    entry: &Entry<impl Read>,
    name: &str,
    top: &str,
    contents: &'a [Content],
) -> Result<Option<&'a Content>, EntryFault> {
    let below = name.strip_prefix(top).and_then(|rest| rest.strip_prefix('/'));
    let plain = |name: &&str| !name.is_empty() && *name != ".." && *name != "." && !name.contains(['/', '\\']);
    let content = match entry.header().entry_type() {
        EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink => None,
        EntryType::Directory if name.trim_end_matches('/') == top => None,
        EntryType::Regular => {
            let file = below.filter(plain).ok_or(EntryFault::Outside)?;
            contents.iter().find(|content| content.name == file)
        }
        EntryType::Directory => return Err(EntryFault::Outside),
        _ => return Err(EntryFault::Kind),
    };
    let size = entry.size();
    let right = content.map_or(size <= SLACK, |content| size == content.size);
    if right { Ok(content) } else { Err(EntryFault::Size(size)) }
}
