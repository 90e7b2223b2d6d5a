//! What can be wrong with a data set, said in one line: the file, the place in it, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{ArrayProblem, CLASSES, Dataset, ParquetProblem, Part, PictureError, UnknownGroups};
use crate::message::shortened;

/// Why a data set could not be used. Byte offsets count the unpacked contents of a `.gz` file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file does not exist, packed or unpacked.
    #[error(
        "{}: no such file, packed or unpacked; fetch the data set with `pkdgan data fetch` or name the data folder \
         with --data-dir DIR",
        path.display()
    )]
    Missing {
        /// The file looked for, where it is looked for first.
        path: PathBuf,
    },
    /// No data folder looked in has every file of a data set.
    #[error(
        "{dataset} is not there: no {}; run `pkdgan data fetch {dataset}{}`",
        missing.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", no "),
        chosen.as_ref().map(|folder| format!(" --data-dir {}", folder.display())).unwrap_or_default()
    )]
    NotFound {
        /// The data set.
        dataset: Dataset,
        /// The first file that is missing in each place.
        missing: Vec<PathBuf>,
        /// The one data folder that was to be used, where one was chosen.
        chosen: Option<PathBuf>,
    },
    /// The contents are not those published.
    #[error("{}: sha256 of the contents is {found}, not {expected}; fetch the file again", path.display())]
    Checksum {
        /// The file read.
        path: PathBuf,
        /// The sum computed, in hexadecimal.
        found: String,
        /// The sum of the published contents.
        expected: String,
    },
    /// The operating system or the gzip decoder failed.
    #[error(
        "{}: reading failed at byte {offset}: {source}; check the file's permissions or fetch it again",
        path.display()
    )]
    Read {
        /// The file read.
        path: PathBuf,
        /// Where the field or value that could not be read begins or should continue.
        offset: u64,
        /// The failure itself.
        source: io::Error,
    },
    /// The first two bytes are not those of an IDX file.
    #[error(
        "{}: byte 0: {found:#06x} is no IDX magic number (two zero bytes); is this the right file?",
        path.display()
    )]
    Magic {
        /// The file read.
        path: PathBuf,
        /// The first two bytes, big-endian.
        found: u16,
    },
    /// The elements are not unsigned bytes.
    #[error(
        "{}: byte 2: element type {found:#04x} is not supported; convert the file to unsigned bytes (0x08)",
        path.display()
    )]
    ElementType {
        /// The file read.
        path: PathBuf,
        /// The type code found.
        found: u8,
    },
    /// The file has another number of dimensions than its role wants.
    #[error(
        "{}: byte 3: {found} dimensions where {wanted} are wanted; labels have 1, images 3: are the files \
         swapped?",
        path.display()
    )]
    Rank {
        /// The file read.
        path: PathBuf,
        /// Dimensions that the file declares.
        found: u8,
        /// Dimensions wanted.
        wanted: usize,
    },
    /// A declared dimension is zero.
    #[error("{}: byte {offset}: dimension {axis} is zero; the file holds nothing, fetch it again", path.display())]
    EmptyDimension {
        /// The file read.
        path: PathBuf,
        /// Where the dimension is written.
        offset: u64,
        /// Which dimension, from 0.
        axis: usize,
    },
    /// The declared dimensions multiply to more than is read.
    #[error(
        "{}: byte 4: dimensions {dims:?} exceed {most} values; the header is damaged, fetch the file \
         again",
        path.display()
    )]
    TooLarge {
        /// The file read.
        path: PathBuf,
        /// The dimensions declared.
        dims: Vec<u32>,
        /// Most values that are read.
        most: u64,
    },
    /// The file ends before the values that its header declares, or within a record.
    #[error("{}: ends at byte {offset} of {expected}; it is cut short, fetch it again", path.display())]
    Truncated {
        /// The file read.
        path: PathBuf,
        /// The length found, or where the field that is cut short begins.
        offset: u64,
        /// The least length that the header, as far as it was read, or the record calls for.
        expected: u64,
    },
    /// The file goes on after the values that its header declares, or its format allows.
    #[error("{}: goes on after byte {offset}, where it should end; fetch the file again", path.display())]
    Trailing {
        /// The file read.
        path: PathBuf,
        /// Where the file should have ended.
        offset: u64,
    },
    /// A NumPy array that is not read as images.
    #[error("{}: {problem}", path.display())]
    Array {
        /// The file; of an archive, with the array behind `#`.
        path: PathBuf,
        /// What is wrong with it.
        problem: ArrayProblem,
    },
    /// A Parquet file that is not read as images.
    #[error("{}: {problem}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ParquetProblem,
    },
    /// As many labels as images are wanted.
    #[error(
        "{}: {label_count} labels for the {image_count} images of {}; both files must come from the same set",
        labels.display(), images.display()
    )]
    LabelCount {
        /// The label file.
        labels: PathBuf,
        /// The image file.
        images: PathBuf,
        /// Labels read.
        label_count: usize,
        /// Images read.
        image_count: usize,
    },
    /// A label outside 0..[`CLASSES`].
    #[error(
        "{}: byte {offset}: label {label} of item {index} is not in 0..={}; fetch the file again",
        path.display(), CLASSES - 1
    )]
    Label {
        /// The file that has the label.
        path: PathBuf,
        /// Which label, from 0.
        index: usize,
        /// Where it is written.
        offset: u64,
        /// Its value.
        label: u8,
    },
    /// The pixels given do not fill the images declared.
    #[error("{found} pixel values for images that take {expected}; give count x channels x height x width values")]
    PixelCount {
        /// Values given.
        found: usize,
        /// Values that the shape takes (saturated).
        expected: usize,
    },
    /// An image number past the end.
    #[error("image {index} was asked for, but there are only {count}; use indices of the same set")]
    Index {
        /// The index asked for.
        index: usize,
        /// Images there are.
        count: usize,
    },
    /// The images do not fit the square they are to be padded to.
    #[error("images of {height}x{width} pixels do not fit a side of {side}; choose a larger side")]
    Side {
        /// Height of the images, in pixels.
        height: usize,
        /// Width of the images, in pixels.
        width: usize,
        /// Side of the square asked for, in pixels.
        side: usize,
    },
    /// What should be a folder of pictures is none.
    #[error("{}: no such folder; name one that holds pictures, with --images DIR where a run's were moved", path.display())]
    NoFolder {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Too many of a folder's files are no pictures that can be used.
    #[error(
        "{}: {} of {all} files are no pictures that can be used, and at most 5 % are skipped; mend them, take them \
         away, or name another folder\n{}",
        folder.display(), skipped.len(), first_of(skipped)
    )]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// Files in it.
        all: usize,
        /// Those that cannot be used.
        skipped: Vec<PictureError>,
    },
    /// What is no pattern of names.
    #[error("{message}")]
    Patterns {
        /// What is wrong.
        message: String,
    },
    /// A folder holds too few pictures.
    #[error(
        "{}: {usable} pictures that can be used, and at least {least} are needed; some hundreds are better",
        folder.display()
    )]
    TooFewPictures {
        /// The folder.
        folder: PathBuf,
        /// Usable pictures in it.
        usable: usize,
        /// Those needed.
        least: usize,
    },
    /// The folder of anomalous pictures is that of the normal ones, or one is within the other.
    #[error(
        "{} and {}: one holds the other, so that anomalous pictures would count as normal; keep them apart",
        normal.display(), anomalies.display()
    )]
    Nested {
        /// The folder of normal pictures.
        normal: PathBuf,
        /// The folder of anomalous ones.
        anomalies: PathBuf,
    },
    /// A folder within that of the normal pictures is named after defects.
    #[error(
        "{}: a folder of that name among the normal pictures of {} holds defective ones, it seems; move it out and name it \
         with --anomalies, or leave it out with --exclude; if its pictures are normal, give it another name",
        defects.display(), normal.display()
    )]
    DefectsAmongNormal {
        /// The folder of normal pictures.
        normal: PathBuf,
        /// The one in it.
        defects: PathBuf,
    },
    /// The folder of pictures that calibrate or test is another one's, or within it, or holds it.
    #[error(
        "{} and {}: one holds the other, and pictures that calibrate or test must be used for nothing else; keep them apart",
        held_out.display(), other.display()
    )]
    NestedHeldOut {
        /// The folder of pictures that calibrate or test.
        held_out: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// The pictures are not independent enough to hold some of them out.
    #[error(
        "{}: {pictures} pictures are {groups} independent groups, and at least {least} are needed, for pictures of a group \
         are copies of each other or belong together; add pictures of other things, name held-out ones with \
         --calibration-images DIR, or say with --group-by what belongs together (`none`: each file is independent)",
        folder.display()
    )]
    TooFewGroups {
        /// The folder.
        folder: PathBuf,
        /// Usable pictures.
        pictures: usize,
        /// Groups of them that could be used.
        groups: usize,
        /// Those needed.
        least: usize,
    },
    /// A file name does not say which group the picture is of.
    #[error(
        "{}: the name has no group by --group-by '{}'; name the file like the others, or choose another expression",
        path.display(), shortened(pattern)
    )]
    NoGroup {
        /// The file.
        path: PathBuf,
        /// The regular expression.
        pattern: String,
    },
    /// Pictures cannot be grouped like this.
    #[error(transparent)]
    Groups(#[from] UnknownGroups),
    /// The pictures are not those that a run began with.
    #[error(
        "{}: the pictures are not those that the run began with ({count} can be used now); put them back, name the \
         folder that they were moved to by --images DIR, or train anew",
        folder.display()
    )]
    Changed {
        /// The folder of normal pictures.
        folder: PathBuf,
        /// Normal pictures there now.
        count: usize,
    },
    /// The file of decoded pictures cannot be written or read.
    #[error(
        "{}: decoded pictures cannot be kept or read here: {source}; check that it may be written and has room, or name \
         another folder by {}",
        path.display(), super::CACHE_VARIABLE
    )]
    Decoded {
        /// The file, or its folder.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
    /// There is too little room for decoded pictures.
    #[error(
        "{}: decoded pictures take {} MiB, and {} MiB are free; make room, name a folder that has it by {}, or train on \
         fewer or smaller pictures (--size)",
        folder.display(), needed.div_ceil(1 << 20), free >> 20, super::CACHE_VARIABLE
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// Bytes that they take.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The normal class is not one of the data set's.
    #[error("normal class {class} is out of range; choose one of 0..={}", CLASSES - 1)]
    NormalClass {
        /// The class asked for.
        class: u8,
    },
    /// The normal class does not occur.
    #[error("no image of class {class} among the {part} images; choose another normal class or a complete data set")]
    NoImage {
        /// The class asked for.
        class: u8,
        /// Where it was looked for.
        part: Part,
    },
}

/// Unusable pictures that are named.
const NAMED: usize = 10;

/// The first unusable pictures, a line each.
fn first_of(skipped: &[PictureError]) -> String {
    let mut lines: Vec<String> = skipped.iter().take(NAMED).map(|error| format!("  {error}")).collect();
    if skipped.len() > NAMED {
        lines.push(format!("  and {} more", skipped.len() - NAMED));
    }
    lines.join("\n")
}
