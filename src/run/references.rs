//! `references.csv`: the training pictures whose latent vectors the models of a run keep.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{RunError, write_whole};
use crate::files::{lines, text_of};

/// Longest file that is read, in bytes: a thousand paths as long as paths can be.
const MAX_BYTES: u64 = 1 << 23;

const HEADER: &str = "path";

/// Writes where each picture lies whole, one a row below the header `path`, in the order of the latent vectors.
///
/// # Errors
/// A file that cannot be written.
pub fn write_references(path: &Path, pictures: &[PathBuf]) -> Result<(), RunError> {
    let written = write_whole(path, |out| {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record([HEADER])?;
        pictures.iter().try_for_each(|picture| rows.write_record([&*text_of(picture)]))?;
        rows.flush()
    });
    Ok(written?)
}

/// Reads what [`write_references`] wrote. Names that are no Unicode are not those of files.
///
/// # Errors
/// A file that cannot be read, has another header, or is no table.
pub fn read_references(path: &Path) -> Result<Vec<PathBuf>, RunError> {
    let damaged = |message: String| RunError::Damaged { path: path.to_owned(), message };
    let file = File::open(path).map_err(|source| RunError::Read { path: path.to_owned(), source })?;
    let mut rows = csv::Reader::from_reader(lines(file, MAX_BYTES));
    if rows.headers().map_err(|error| damaged(error.to_string()))? != [HEADER].as_slice() {
        return Err(damaged(format!("line 1: the header is not {HEADER}")));
    }
    let picture = |row: Result<csv::StringRecord, csv::Error>| {
        row.map(|row| row.get(0).unwrap_or_default().into()).map_err(|error| damaged(error.to_string()))
    };
    rows.records().map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("references.csv");
        let pictures = ["/a, b/\"c\".png", "/line\nbreak.png", "d.png"].map(PathBuf::from);
        write_references(&path, &pictures).unwrap();
        assert_eq!(read_references(&path).unwrap(), pictures);
        std::fs::write(&path, "index,label\n1,2\n").unwrap();
        assert!(read_references(&path).unwrap_err().to_string().contains("the header is not path"));
    }
}
