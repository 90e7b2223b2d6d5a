//! Files of many images: the right images of what NumPy and pyarrow write, and nothing damaged is believed.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pkdgan::data::DataError;
use pkdgan::unstable::data::{ImageFile, RawImage, Stored};
use tempfile::TempDir;

const HEIGHT: usize = 5;
const WIDTH: usize = 6;

/// See `tests/data/image_files/make.py`.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image_files").join(name)
}

/// What a file gives: array and image, or what is said in its place.
type Given = (Option<String>, Result<Stored, String>);

fn read(path: &Path) -> Result<Vec<Given>, DataError> {
    let images = ImageFile::open(path)?.unwrap_or_else(|| panic!("{} is known", path.display()));
    let mut given = Vec::new();
    let ended = images.each(&mut |array, image| {
        let image = image.map_err(|error| error.to_string()).and_then(|row| row.map_err(|problem| problem.to_string()));
        given.push((array.map(|name| name.to_string()), image));
        ControlFlow::Continue(())
    });
    assert!(ended.is_continue());
    Ok(given)
}

/// The values of an image, as the script makes them.
fn values(n: usize, channels: usize) -> Vec<u8> {
    let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| (0..channels).map(move |c| (y, x, c))));
    places.map(|(y, x, c)| ((31 * n + 7 * y + 3 * x + 50 * c) % 251) as u8).collect()
}

fn raw(n: usize, channels: usize) -> RawImage {
    RawImage { bytes: values(n, channels), height: HEIGHT, width: WIDTH, values: channels, wide: false }
}

/// The raw images of a file, all of one array.
fn raws(name: &str) -> Vec<RawImage> {
    let image = |(array, image): Given| match image {
        Ok(Stored::Raw(image)) => {
            assert_eq!(array, None);
            image
        }
        other => panic!("{name}: {other:?}"),
    };
    read(&file(name)).unwrap().into_iter().map(image).collect()
}

/// What is wrong with a file, in a line that names it.
fn refused(path: &Path) -> String {
    let line = read(path).map(|given| format!("{given:?}")).unwrap_err().to_string();
    assert!(line.starts_with(&path.display().to_string()) && !line.contains('\n'), "{line}");
    line
}

#[test]
fn numpy_arrays_give_their_images() {
    for (name, channels) in [("grey", 1), ("channel", 1), ("rgb", 3), ("rgba", 4), ("version2", 1)] {
        let expected: Vec<_> = (0..3).map(|n| raw(n, channels)).collect();
        assert_eq!(raws(&format!("{name}.npy")), expected, "{name}");
    }
    assert_eq!(raws("one.npy"), [raw(0, 1)]);
    for name in ["little.npy", "big.npy"] {
        let bytes = |n| values(n, 1).iter().flat_map(|&value| (257 * u16::from(value)).to_ne_bytes()).collect();
        let expected: Vec<_> = (0..3).map(|n| RawImage { bytes: bytes(n), wide: true, ..raw(n, 1) }).collect();
        assert_eq!(raws(name), expected, "{name}");
    }
}

#[test]
fn numpy_arrays_that_are_no_images_are_refused_with_the_remedy() {
    for (name, said) in [
        ("fortran.npy", "save numpy.ascontiguousarray(x)"),
        ("floats.npy", "values of type <f4; 'uint8' and 'uint16' are read"),
        ("photo.npy", "shape [5, 6, 3]; if it is one image whose channels come last, save x[None]"),
        ("labels.npy", "shape [3]; images are [H, W]"),
        ("records.npy", "values of type [('a', '|u1'), ('b', '<f4')]"),
        ("labels.npz", "none of its 1 arrays has a shape of images"),
    ] {
        let line = refused(&file(name));
        assert!(line.contains(said), "{line}");
    }
}

#[test]
fn archives_give_every_array_of_images_by_name() {
    let given = read(&file("plain.npz")).unwrap();
    assert_eq!(given.len(), 3);
    for (n, (array, image)) in given.into_iter().enumerate() {
        assert_eq!(array.as_deref(), Some("arr_0"));
        assert!(matches!(image, Ok(Stored::Raw(image)) if image == raw(n, 1)));
    }
    // Labels beside images are none.
    let mut given = read(&file("packed.npz")).unwrap();
    let (array, error) = given.pop().unwrap();
    assert_eq!(array.as_deref(), Some("other"));
    assert!(error.unwrap_err().contains("packed.npz#other: values of type <f4"));
    let expected = (0..3).map(|n| ("train", raw(n, 1))).chain((0..2).map(|n| ("test", raw(n, 3))));
    for ((array, image), expected) in given.into_iter().zip(expected) {
        let Ok(Stored::Raw(image)) = image else { panic!("{image:?}") };
        assert_eq!((array.unwrap(), image), (expected.0.to_owned(), expected.1));
    }
}

/// The bytes of each row, or what is said of it.
fn rows(name: &str) -> Vec<Result<Vec<u8>, String>> {
    let row = |(array, image): Given| match image {
        Ok(Stored::Encoded(bytes)) => {
            assert_eq!(array, None);
            Ok(bytes)
        }
        Ok(raw) => panic!("{name}: {raw:?}"),
        Err(said) => Err(said),
    };
    read(&file(name)).unwrap().into_iter().map(row).collect()
}

#[test]
fn parquet_files_give_the_bytes_of_each_row() {
    let picture = |n| [&b"P5\n6 5\n255\n"[..], &values(n, 1)].concat();
    let names = ["none", "snappy", "gzip", "zstd", "dictionary"];
    let versions = names.iter().flat_map(|name| ["v1", "v2"].map(|version| format!("{name}-{version}")));
    let others = ["checksum", "struct", "named"].map(str::to_owned);
    for name in versions.chain(others) {
        let found = rows(&format!("{name}.parquet"));
        assert_eq!(found.len(), 5, "{name}");
        for (row, n) in [(0, 0), (1, 1), (3, 2), (4, 1)] {
            assert_eq!(found[row].as_ref().unwrap(), &picture(n), "{name} {row}");
        }
        assert!(found[2].as_ref().unwrap_err().contains("no bytes in this row"), "{name}");
    }
    let found: Vec<_> = rows("required.parquet").into_iter().map(Result::unwrap).collect();
    assert_eq!(found, [picture(0), picture(1), picture(2)]);
    assert!(rows("empty.parquet").is_empty());
}

#[test]
fn parquet_files_that_are_not_read_say_why() {
    for (name, said) in [
        ("two", "the columns picture, thumbnail may all be images; call one of them `image`"),
        (
            "text",
            "no column of encoded images, which is of bytes or of structs with a field `bytes`; the columns are path, ",
        ),
    ] {
        let line = refused(&file(&format!("{name}.parquet")));
        assert!(line.contains(said), "{line}");
    }
    for (name, said) in [
        ("lz4", "column picture: packed by LZ4, which is not read; write it with snappy, zstd or gzip"),
        ("delta", "column picture: written in encoding DELTA_LENGTH_BYTE_ARRAY, which is not read"),
    ] {
        let found = rows(&format!("{name}.parquet"));
        assert!(found.len() == 1 && found[0].as_ref().unwrap_err().contains(said), "{found:?}");
    }
}

#[test]
fn other_files_are_none_of_many_images() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.txt";
    for bytes in [&b""[..], b"P5 1 1 255 a", b"\x89PNG\r\n\x1a\n", b"PAR", b"\x93NUMP", zip] {
        fs::write(&path, bytes).unwrap();
        assert!(ImageFile::open(&path).unwrap().is_none(), "{bytes:?}");
    }
}

/// Every file of the fixtures.
fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(file("")).unwrap().map(|entry| entry.unwrap().path());
    let known = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ["npy", "npz", "parquet"].iter().any(|one| ending == *one))
    };
    let mut files: Vec<_> = entries.filter(known).collect();
    files.sort();
    assert!(files.len() > 30, "{}", files.len());
    files
}

/// Everything that a file gives: images, and one error at most in each array.
fn all(path: &Path) -> Vec<Result<Stored, String>> {
    match ImageFile::open(path) {
        Ok(None) => Vec::new(),
        Err(error) => vec![Err(error.to_string())],
        Ok(Some(images)) => {
            let mut given = Vec::new();
            let _ = images.each(&mut |_, image| {
                given.push(image.map_err(|error| error.to_string()).and_then(|row| row.map_err(|row| row.to_string())));
                if given.len() < 1_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            given
        }
    }
}

#[test]
fn files_that_are_cut_short_are_refused_wherever_that_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut");
    for whole in fixtures() {
        let bytes = fs::read(&whole).unwrap();
        let full = all(&whole);
        for end in (0..bytes.len()).step_by(if bytes.len() > 2_000 { 7 } else { 1 }) {
            fs::write(&path, &bytes[..end]).unwrap();
            let given = all(&path);
            let images = |given: &[Result<Stored, String>]| given.iter().filter(|one| one.is_ok()).count();
            assert!(images(&given) <= images(&full), "{} {end}", whole.display());
            // Archives and Parquet files end with what says where all is; of arrays the images before the cut are there.
            let table = !bytes.starts_with(b"\x93NUMPY");
            assert!(!table || images(&given) == 0, "{} {end}", whole.display());
            let known = ImageFile::open(&path).is_ok_and(|images| images.is_none());
            assert!(known || given.iter().any(Result::is_err), "{} {end}", whole.display());
        }
    }
}

#[test]
fn flipped_bits_give_images_or_an_error_in_a_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flipped");
    let mut refused = 0;
    for whole in fixtures() {
        let bytes = fs::read(&whole).unwrap();
        for place in (0..bytes.len()).step_by(if bytes.len() > 2_000 { 5 } else { 1 }) {
            for flip in [1 << (place % 8), 0xff] {
                let mut flipped = bytes.clone();
                flipped[place] ^= flip;
                fs::write(&path, flipped).unwrap();
                for given in all(&path) {
                    match given {
                        Ok(stored) => assert!(stored.len() <= 1 << 20, "{} {place}", whole.display()),
                        Err(said) => {
                            assert!(!said.contains('\n'), "{said}");
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

/// A NumPy file with this header.
fn npy(header: &str, values: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

#[test]
fn claims_of_a_numpy_header_are_checked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("array");
    let big = u64::MAX;
    for (header, said) in [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2)}".to_owned(), ""),
        ("{'shape': (1, 2, 2,), 'descr': \"|u1\", 'fortran_order': False, } \n".to_owned(), ""),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 2L, 2L)}".to_owned(), ""),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 2, 2)}".to_owned(), "it holds no pixel"),
        (
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (1, {big}, {big})}}"),
            "more than 67108864 values",
        ),
        (format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({big}, 2, 2)}}"), "it is cut short"),
        (format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, {big}0)}}"), "a length is wanted"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2)}".to_owned(), "it is cut short"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 2)}".to_owned(), "goes on after byte"),
        ("{'descr': '|u1', 'fortran_order': False}".to_owned(), "it lacks descr, fortran_order or shape"),
        ("{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2)}".to_owned(), "there twice"),
        ("{'descr': '|u1', 'fortran_order': 0, 'shape': (1, 2, 2)}".to_owned(), "True or False is wanted"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2)} 3".to_owned(), "more behind its end"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), 'more': 1}".to_owned(), "an unknown key"),
        ("{'descr': '|u1".to_owned(), "a quote is not closed"),
        (format!("{{'descr': {}", "[".repeat(1_000)), "a list is not closed"),
    ] {
        fs::write(&path, npy(&header, &[1, 2, 3, 4])).unwrap();
        let given = all(&path);
        if said.is_empty() {
            let expected = RawImage { bytes: vec![1, 2, 3, 4], height: 2, width: 2, values: 1, wide: false };
            assert!(matches!(&given[..], [Ok(Stored::Raw(image))] if *image == expected), "{header}: {given:?}");
        } else {
            let error = given.last().unwrap().as_ref().unwrap_err();
            assert!(error.contains(said), "{header}: {error}");
        }
    }
    fs::write(&path, b"\x93NUMPY\x02\0\xff\xff\xff\xff").unwrap();
    assert!(refused(&path).contains("it claims to be longer than 64 KiB"));
    fs::write(&path, b"\x93NUMPY\x09\0\x10\0").unwrap();
    assert!(refused(&path).contains("byte 6: no header of a NumPy array (an unknown version)"));
}
