//! Files of many images: NumPy's arrays and archives, Parquet files, IDX files. What is read is an image of the size that it
//! says, or the bytes of a picture file, and what is not is refused in a line.
//!
//! The first byte says what the rest is, because mutations seldom find checksums, lengths and places again: 0 for the file as it
//! is; 1 for the header of a NumPy array, up to a zero byte, and its values; 2 for a NumPy array to be put into an archive, 3
//! for one to be packed there; 4 for the metadata of a Parquet file, whose length stands in two bytes before them, behind its
//! pages.
#![no_main]

use std::io::Write;
use std::ops::ControlFlow;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use libfuzzer_sys::fuzz_target;
use pkdgan::data::{Fit, Preprocessing, Range};
use pkdgan::unstable::data::{ImageFile, Stored};

/// Images that are looked at; more only take time.
const MOST: usize = 50;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let (name, bytes) = match kind {
        0 => ("file", rest.to_vec()),
        1 => ("array.npy", array(rest)),
        2 => ("arrays.npz", archive(&array(rest), false)),
        3 => ("arrays.npz", archive(&array(rest), true)),
        4 => ("table.parquet", table(rest)),
        _ => return,
    };
    let (_folder, path) = pkdgan_fuzz::file(name, &bytes);
    let preprocessing = Preprocessing { channels: 1, height: 6, width: 5, side: 8, fit: Fit::Pad, range: Range::Full };
    let images = match ImageFile::open(&path) {
        Ok(Some(images)) => images,
        Ok(None) => return,
        Err(error) => {
            in_a_line(&error.to_string());
            return;
        }
    };
    let mut count = 0;
    let _ = images.each(&mut |array, image| {
        assert_eq!(array.is_some(), name.ends_with("npz") || bytes.starts_with(b"PK"));
        match image {
            Ok(Ok(Stored::Raw(image))) => {
                let size = 1 + usize::from(image.wide);
                assert_eq!(image.bytes.len(), image.height * image.width * image.values * size);
                if let Ok((pixels, _)) = image.prepared(&preprocessing) {
                    assert_eq!(pixels.len(), 30);
                }
            }
            Ok(Ok(Stored::Encoded(bytes))) => assert!(bytes.len() <= 64 << 20),
            Ok(Err(problem)) => in_a_line(&problem.to_string()),
            Err(error) => in_a_line(&error.to_string()),
        }
        count += 1;
        if count < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
});

fn in_a_line(said: &str) {
    assert!(!said.contains('\n'), "{said}");
}

/// The input is the header, a zero byte, then the values.
fn array(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (header, values) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    [b"\x93NUMPY\x02\0", &(header.len() as u32).to_le_bytes()[..], header, values].concat()
}

/// An archive of one array.
fn archive(array: &[u8], packed: bool) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(array);
    let content = match packed {
        false => array.to_vec(),
        true => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(array).expect("memory");
            encoder.finish().expect("memory")
        }
    };
    let name = b"x.npy";
    let mut fields = vec![20, 0, 0, 0, if packed { 8 } else { 0 }, 0, 0, 0, 33, 0];
    for number in [crc.sum(), content.len() as u32, array.len() as u32] {
        fields.extend(number.to_le_bytes());
    }
    fields.extend([name.len() as u8, 0, 0, 0]);
    let local = [b"PK\x03\x04", &fields[..], name, &content].concat();
    let central = [b"PK\x01\x02\x14\0", &fields[..], &[0; 14], name].concat();
    let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
    end.extend((central.len() as u32).to_le_bytes());
    end.extend((local.len() as u32).to_le_bytes());
    end.extend([0, 0]);
    [local, central, end].concat()
}

/// A Parquet file: the length of its pages, those, then the metadata.
fn table(bytes: &[u8]) -> Vec<u8> {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return Vec::new() };
    let (pages, metadata) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    [b"PAR1", pages, metadata, &(metadata.len() as u32).to_le_bytes(), b"PAR1"].concat()
}
