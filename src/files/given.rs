//! Files that the program is told to write: a device or a pipe is written into, a link is followed, and a file is replaced
//! whole by one with the same permissions.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::WriteError;
use super::whole::{folder_of, replace_as};

/// Links that are followed from one to the next, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Where a command was told to write.
#[derive(Debug, Clone)]
pub struct Given {
    path: PathBuf,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Standard output.
    Output,
    /// A device or a pipe.
    Stream,
    /// A regular file, which may be there with these permissions.
    File(PathBuf, Option<Permissions>),
}

impl Given {
    /// Looks at what is at `path`; `-` is standard output.
    ///
    /// # Errors
    /// A folder, and a file that is one of `inputs`: it would be gone while it is read.
    pub fn new<'a>(path: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<Self, WriteError> {
        let place = place(path).and_then(|place| match &place {
            Place::File(file, Some(_)) if inputs.into_iter().any(|input| same(input, file)) => {
                Err(io::Error::other("it is one of the inputs; name another file"))
            }
            _ => Ok(place),
        });
        let place = place.map_err(|source| WriteError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), place })
    }

    /// Whether it is standard output, so that nothing else belongs there.
    pub fn is_standard_output(&self) -> bool {
        matches!(self.place, Place::Output)
    }

    /// Whether it is a file, which is there whole or not at all.
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::File(..))
    }

    /// Writes what `fill` puts out there.
    ///
    /// # Errors
    /// Any failure of `fill` or of the file system.
    pub fn write(&self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
        let into = |out: &mut dyn Write| {
            let mut out = BufWriter::new(out);
            fill(&mut out)?;
            out.flush()
        };
        let written = match &self.place {
            Place::Output => into(&mut io::stdout().lock()),
            Place::Stream => File::options().append(true).open(&self.path).and_then(|mut file| into(&mut file)),
            Place::File(file, permissions) => return replace_as(file, None, true, permissions.clone(), into),
        };
        written.map_err(|source| WriteError { path: self.path.clone(), source })
    }
}

fn place(path: &Path) -> io::Result<Place> {
    if path.as_os_str() == "-" {
        return Ok(Place::Output);
    }
    // What has a name in the folder of open files is written into, be it a file: whoever opened it goes on with it.
    let open =
        path.parent().is_some_and(|folder| folder == Path::new("/dev/fd") || folder == Path::new("/proc/self/fd"));
    if open || [Path::new("/dev/stdout"), Path::new("/dev/stderr")].contains(&path) {
        return Ok(Place::Stream);
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if there.is_file() => Ok(Place::File(fs::canonicalize(path)?, Some(there.permissions()))),
        Ok(_) => Ok(Place::Stream),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::File(target(path)?, None)),
        Err(error) => Err(error),
    }
}

/// Where a link leads to that leads to nothing yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = folder_of(&path).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links, each to the next"))
}

/// Whether an input is this file.
fn same(input: &Path, file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |path: &Path| fs::metadata(path).map(|there| (there.dev(), there.ino())).ok();
        identity(file).is_some_and(|file| identity(input) == Some(file))
    }
    #[cfg(not(unix))]
    {
        fs::canonicalize(input).is_ok_and(|input| input == file)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), WriteError> {
        Given::new(path, []).and_then(|given| given.write(|out| out.write_all(text.as_bytes())))
    }

    #[test]
    fn links_are_followed_and_permissions_stay() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("inner")).unwrap();
        fs::write(path("inner/file"), "old").unwrap();
        fs::set_permissions(path("inner/file"), Permissions::from_mode(0o604)).unwrap();
        symlink("inner/file", path("link")).unwrap();
        symlink(path("link"), path("inner/back")).unwrap();
        for link in ["link", "inner/back", "inner/file"] {
            write(&path(link), link).unwrap();
            assert_eq!(fs::read_to_string(path("inner/file")).unwrap(), link);
            assert_eq!(fs::metadata(path("inner/file")).unwrap().permissions().mode() & 0o777, 0o604);
        }
        assert!(path("link").is_symlink() && path("inner/back").is_symlink());
        // A link to nothing yet.
        symlink("inner/new", path("ahead")).unwrap();
        write(&path("ahead"), "new").unwrap();
        assert!(path("ahead").is_symlink());
        assert_eq!(fs::read_to_string(path("inner/new")).unwrap(), "new");
        symlink("round", path("round")).unwrap();
        write(&path("round"), "").unwrap_err();
        write(folder.path(), "").unwrap_err();
        // On failure the old file stays.
        let given = Given::new(&path("link"), []).unwrap();
        given.write(|out| out.write_all(b"half").and(Err(io::ErrorKind::Other.into()))).unwrap_err();
        assert_eq!(fs::read_to_string(path("inner/file")).unwrap(), "inner/file");
    }

    #[test]
    fn devices_and_pipes_are_written_into() {
        write(Path::new("/dev/null"), "nothing").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let folder = tempfile::TempDir::new().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            })
        };
        write(&pipe, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
    }

    #[test]
    fn no_input_is_written_over() {
        let folder = tempfile::TempDir::new().unwrap();
        let [input, link, hard] = ["input", "link", "hard"].map(|name| folder.path().join(name));
        fs::write(&input, "precious").unwrap();
        symlink(&input, &link).unwrap();
        fs::hard_link(&input, &hard).unwrap();
        for path in [&input, &link, &hard] {
            let error = Given::new(path, [&*input]).unwrap_err().to_string();
            assert!(error.contains("one of the inputs"), "{error}");
        }
        Given::new(&folder.path().join("other"), [&*input]).unwrap();
        Given::new(Path::new("/dev/null"), [Path::new("/dev/null")]).unwrap();
    }
}
