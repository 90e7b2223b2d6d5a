//! What there is to score: files, folders, lists of them, the images of files of many.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PictureFault;
use crate::data::{ImageFile, MAX_FILE, PictureError, PictureProblem, RawImage, Search, Stored, begins_picture};
use crate::files::text_of;
use crate::shard::Shard;

/// Endings of picture files, which are not looked into before they are decoded.
const ENDINGS: [&str; 12] =
    [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm"];
/// Bytes of images of files of many that wait in one chunk, at most and one image.
const MAX_HELD: usize = 1 << 24;
/// Longest entry of a list, in bytes.
const MAX_BYTES: u64 = 1 << 16;

/// A picture by name: a file, or an image in one. Displayed as `FILE`, `FILE#INDEX` or `FILE#ARRAY#INDEX`; in a name that is no
/// Unicode, bytes that are none as `\xE9`, and `\` as `\\`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub file: Arc<Path>,
    /// Name of the array in a NumPy archive.
    pub array: Option<Arc<str>>,
    /// Place in a file of many images, or in an array of one, from 0.
    pub index: Option<usize>,
}

/// A picture that is still to be decoded.
pub struct Found {
    /// Its name.
    pub picture: Picture,
    /// Where its pixels are; or why there are none.
    pub content: Result<Content, PictureFault>,
}

/// Where the pixels of a picture are.
pub enum Content {
    /// In its file, which somebody named.
    Named,
    /// In its file, which was found in a folder.
    Found,
    /// In the bytes of a file, which are here.
    Bytes(Vec<u8>),
    /// Here.
    Pixels(RawImage),
}

/// Takes what was found; `None` where the next may be long in coming. Breaks where nothing more is wanted.
pub(super) type Emit<'a> = dyn FnMut(Option<Found>) -> ControlFlow<()> + 'a;

/// Where the pictures are.
pub struct Sources {
    /// Files and folders; `-` for a list of them.
    pub paths: Vec<PathBuf>,
    /// The list.
    pub list: BufReader<Box<dyn Read + Send>>,
    /// What ends each of its entries.
    pub separator: u8,
    /// How folders are looked through.
    pub search: Search,
    /// Of all pictures, counted in their order, only this part.
    pub shard: Option<Shard>,
}

impl Sources {
    /// Files and folders. `-` is a file of that name, since there is no list.
    pub fn of(paths: Vec<PathBuf>) -> Self {
        // A path of more than one part stands for no list.
        let paths =
            paths.into_iter().map(|path| if path.as_os_str() == "-" { Path::new(".").join(path) } else { path });
        Self {
            paths: paths.collect(),
            list: BufReader::new(Box::new(io::empty())),
            separator: b'\n',
            search: Search::default(),
            shard: None,
        }
    }

    /// Finds every picture, in order.
    pub fn each(mut self, emit: &mut Emit) -> ControlFlow<()> {
        let mut pieces = 0..;
        let mut emit = |found: Option<Found>| {
            // What is left out is counted too: other processes leave it out as well.
            let mine = match (&found, self.shard) {
                (Some(_), Some(shard)) => pieces.next().is_some_and(|piece| shard.has(piece)),
                _ => true,
            };
            if mine { emit(found) } else { ControlFlow::Continue(()) }
        };
        let emit = &mut emit;
        for path in &self.paths {
            if path.as_os_str() == "-" {
                entries(&mut self.list, self.separator, &self.search, emit)?;
            } else {
                below(path, &self.search, emit)?;
            }
        }
        ControlFlow::Continue(())
    }
}

impl Picture {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.into(), array: None, index: None }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text_of(&self.file))?;
        self.array.as_ref().map_or(Ok(()), |array| write!(f, "#{array}"))?;
        self.index.map_or(Ok(()), |index| write!(f, "#{index}"))
    }
}

/// Whether a name is one of a picture file. To take thousands of paths apart for their endings would take longer.
pub(super) fn has_picture_ending(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    let ends_with = |ending: &str| {
        let start = name.len().checked_sub(ending.len());
        start.is_some_and(|start| name[start..].eq_ignore_ascii_case(ending.as_bytes()))
    };
    ENDINGS.into_iter().any(ends_with)
}

/// What a text in UTF-8 may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The files and folders that a list names; a picture in the place of a list is that picture.
fn entries(list: &mut BufReader<impl Read>, separator: u8, search: &Search, emit: &mut Emit) -> ControlFlow<()> {
    let failed = |emit: &mut Emit, source| {
        let picture = Picture::new(Path::new("-"));
        emit(Some(Found { picture, content: Err(PictureFault::List(source)) }))
    };
    // Whoever writes the list may wait for the score of what was named before it.
    emit(None)?;
    let beginning = match list.fill_buf() {
        Ok(beginning) => beginning,
        Err(source) => return failed(emit, source),
    };
    if begins_picture(beginning) {
        return piped(list, emit);
    }
    let wide = beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff");
    if wide || (separator != 0 && beginning.contains(&0)) {
        let what = if wide { "it is in UTF-16; write it in UTF-8" } else { "it is no text; name the files themselves" };
        return failed(emit, io::Error::other(what));
    }
    if beginning.starts_with(BYTE_ORDER_MARK) {
        list.consume(BYTE_ORDER_MARK.len());
    }
    let mut entry = Vec::new();
    loop {
        entry.clear();
        if !list.buffer().contains(&separator) {
            emit(None)?;
        }
        match list.by_ref().take(MAX_BYTES).read_until(separator, &mut entry) {
            Ok(0) => return ControlFlow::Continue(()),
            Ok(_) => {}
            Err(source) => return failed(emit, source),
        }
        if entry.last() == Some(&separator) {
            entry.pop();
        } else if entry.len() as u64 == MAX_BYTES {
            return failed(emit, io::Error::other(format!("an entry of more than {MAX_BYTES} bytes")));
        }
        if separator == b'\n' && entry.last() == Some(&b'\r') {
            entry.pop();
        }
        if !entry.is_empty() {
            below(&path(&entry), search, emit)?;
        }
    }
}

/// The picture that standard input is.
fn piped(input: &mut impl Read, emit: &mut Emit) -> ControlFlow<()> {
    let picture = Picture::new(Path::new("-"));
    let mut bytes = Vec::new();
    let content = match input.take(MAX_FILE + 1).read_to_end(&mut bytes) {
        Ok(read) if read as u64 <= MAX_FILE => Ok(Content::Bytes(bytes)),
        read => {
            let problem = read.map_or_else(PictureProblem::Read, |_| PictureProblem::TooLong);
            Err(PictureError { path: picture.file.to_path_buf(), problem }.into())
        }
    };
    emit(Some(Found { picture, content }))
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    let name: OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec());
    name.into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    OsString::from(String::from_utf8_lossy(bytes).into_owned()).into()
}

/// The pictures of a file, or of all files below a folder.
fn below(path: &Path, search: &Search, emit: &mut Emit) -> ControlFlow<()> {
    if !path.is_dir() {
        return inside(path, Content::Named, emit);
    }
    for file in search.files_below(path) {
        match file {
            Ok(file) => inside(&file, Content::Found, emit)?,
            Err(error) => emit(Some(Found { picture: Picture::new(&error.path), content: Err(error.into()) }))?,
        }
    }
    ControlFlow::Continue(())
}

/// The pictures of a file: those of a file of many, or itself.
fn inside(path: &Path, itself: Content, emit: &mut Emit) -> ControlFlow<()> {
    let file = Picture::new(path);
    // What is no regular file, such as a pipe, can be read only once.
    let images = if has_picture_ending(path) || !path.is_file() { Ok(None) } else { ImageFile::open(path) };
    let images = match images {
        Ok(Some(images)) => images,
        Ok(None) => return emit(Some(Found { picture: file, content: Ok(itself) })),
        Err(error) => return emit(Some(Found { picture: file, content: Err(error.into()) })),
    };
    let mut next = file.clone();
    let mut held = 0;
    images.each(&mut |array, image| {
        if next.array.as_ref() != array {
            (next.array, next.index) = (array.cloned(), None);
        }
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                let picture = Picture { index: None, ..next.clone() };
                return emit(Some(Found { picture, content: Err(error.into()) }));
            }
        };
        next.index = Some(next.index.map_or(0, |index| index + 1));
        let picture = next.clone();
        held += image.as_ref().map_or(0, Stored::len);
        let content = match image {
            Ok(Stored::Raw(image)) => Ok(Content::Pixels(image)),
            Ok(Stored::Encoded(bytes)) => Ok(Content::Bytes(bytes)),
            Err(problem) => Err(PictureError { path: picture.to_string().into(), problem }.into()),
        };
        emit(Some(Found { picture, content }))?;
        // A chunk may take many, and large ones are not to pile up in it.
        if held >= MAX_HELD {
            emit(None)?;
            held = 0;
        }
        ControlFlow::Continue(())
    })
}
