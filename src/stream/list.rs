//! What there is to score: files, folders, lists of them, the images of IDX files.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::GrayImage;

use super::PictureFault;
use crate::data::{IdxImages, files_below};

/// Endings of picture files, which are not looked into before they are decoded.
const ENDINGS: [&str; 4] = [".png", ".jpg", ".jpeg", ".bmp"];
/// Pixels of IDX images that wait in one chunk, at most and one image.
const MAX_HELD: usize = 1 << 24;
/// Longest entry of a list, in bytes.
const MAX_BYTES: u64 = 1 << 16;

/// A picture by name: a file, or an image in one. Displayed as `FILE` or `FILE#INDEX`, with replacement characters for
/// what is no Unicode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub file: Arc<Path>,
    /// Place in an IDX file, from 0.
    pub index: Option<usize>,
}

/// A picture that is still to be decoded.
pub struct Found {
    /// Its name.
    pub picture: Picture,
    /// Its pixels, where it is not a file of its own; or why there is none.
    pub content: Result<Option<GrayImage>, PictureFault>,
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
    /// Whether folders are entered where another file system is mounted.
    pub cross_file_systems: bool,
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
            cross_file_systems: false,
        }
    }

    /// Finds every picture, in order.
    pub fn each(mut self, emit: &mut Emit) -> ControlFlow<()> {
        for path in &self.paths {
            if path.as_os_str() == "-" {
                entries(&mut self.list, self.separator, self.cross_file_systems, emit)?;
            } else {
                below(path, self.cross_file_systems, emit)?;
            }
        }
        ControlFlow::Continue(())
    }
}

impl Picture {
    fn new(file: &Path) -> Self {
        Self { file: file.into(), index: None }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.to_str() {
            Some(name) => f.write_str(name)?,
            None => self.file.display().fmt(f)?,
        }
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

/// The files and folders that a list names.
fn entries(list: &mut BufReader<impl Read>, separator: u8, cross: bool, emit: &mut Emit) -> ControlFlow<()> {
    let failed = |emit: &mut Emit, source| {
        let picture = Picture::new(Path::new("-"));
        emit(Some(Found { picture, content: Err(PictureFault::List(source)) }))
    };
    let mut entry = Vec::new();
    loop {
        entry.clear();
        // Whoever writes the list may wait for the score of what it names.
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
            below(&path(&entry), cross, emit)?;
        }
    }
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
fn below(path: &Path, cross: bool, emit: &mut Emit) -> ControlFlow<()> {
    if !path.is_dir() {
        return inside(path, emit);
    }
    for file in files_below(path, cross) {
        match file {
            Ok(file) => inside(&file, emit)?,
            Err(error) => emit(Some(Found { picture: Picture::new(&error.path), content: Err(error.into()) }))?,
        }
    }
    ControlFlow::Continue(())
}

/// The pictures of a file: those of an IDX file, or itself.
fn inside(path: &Path, emit: &mut Emit) -> ControlFlow<()> {
    let file = Picture::new(path);
    // What is no regular file, such as a pipe, can be read only once.
    let images = if has_picture_ending(path) || !path.is_file() { Ok(None) } else { IdxImages::open(path) };
    let images = match images {
        Ok(Some(images)) => images,
        Ok(None) => return emit(Some(Found { picture: file, content: Ok(None) })),
        Err(error) => return emit(Some(Found { picture: file, content: Err(error.into()) })),
    };
    let (width, height) = (images.width(), images.height());
    let mut held = 0;
    for (index, values) in images.enumerate() {
        let content = match values {
            Ok(values) => GrayImage::from_raw(width, height, values),
            Err(error) => return emit(Some(Found { picture: file, content: Err(error.into()) })),
        };
        let picture = Picture { index: Some(index), ..file.clone() };
        emit(Some(Found { picture, content: Ok(content) }))?;
        // A chunk may take many, and large ones are not to pile up in it.
        held += width as usize * height as usize;
        if held >= MAX_HELD {
            emit(None)?;
            held = 0;
        }
    }
    ControlFlow::Continue(())
}
