//! What a file is that no picture is read from, by its first bytes.

use std::path::Path;
use std::str::from_utf8;

use image::ImageFormat;

/// First bytes of a file that tell what it is, at most.
pub(super) const BEGINNING: u64 = 4096;

const CONVERT: &str = "convert it to PNG, TIFF or JPEG";
const RENDER: &str = "save its pages or drawings as PNG";
const UNPACK: &str = "unpack it and name the pictures in it";
const FRAMES: &str = "save its frames as PNG";
const NOTHING: &str = "leave it out";

/// The format of a picture that is read, by the first bytes of its file.
pub(super) fn format(beginning: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    let format = image::guess_format(beginning).ok()?;
    match format {
        Png | Jpeg | Bmp | Gif | Tiff | WebP => Some(format),
        // Texts may begin like it.
        Pnm => beginning.get(2).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'#').then_some(Pnm),
        _ => None,
    }
}

/// What a file is, and what to do with it; `None` where nobody knows.
pub(super) fn kind(beginning: &[u8], path: &Path) -> Option<(String, &'static str)> {
    let named = |name: &str, todo| Some((name.to_owned(), todo));
    let begins = |magic: &[u8]| beginning.starts_with(magic);
    // Brands of the container that these share: the first is the file's own.
    if beginning.get(4..8) == Some(b"ftyp") {
        match beginning.get(8..12) {
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => {
                let avif = beginning[12..].chunks_exact(4).take(16).any(|brand| brand == b"avif");
                return named(if avif { "an AVIF picture" } else { "a HEIC picture" }, CONVERT);
            }
            Some(b"avif" | b"avis") => return named("an AVIF picture", CONVERT),
            Some(b"crx ") => return named("a camera's raw picture", CONVERT),
            _ => {}
        }
    }
    for (magic, name, todo) in [
        (&b"\xff\x4f\xff\x51"[..], "a JPEG 2000 picture", CONVERT),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture", CONVERT),
        (b"#?RADIANCE", "a Radiance picture", CONVERT),
        (b"DDS ", "a DDS picture", CONVERT),
        (b"qoif", "a QOI picture", CONVERT),
        (b"farbfeld", "a farbfeld picture", CONVERT),
        (b"PF\n", "a PFM picture", CONVERT),
        (b"Pf\n", "a PFM picture", CONVERT),
        (b"gimp xcf", "a GIMP picture", CONVERT),
        (b"SIMPLE  =", "a FITS picture", CONVERT),
        (b"\x93NUMPY", "a NumPy array", CONVERT),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    ] {
        if begins(magic) {
            return named(name, todo);
        }
    }
    if beginning.get(128..132) == Some(b"DICM") {
        return named("a DICOM picture", CONVERT);
    }
    if is_svg(beginning) {
        return named("an SVG drawing", RENDER);
    }
    if is_tga(beginning, path) {
        return named("a TGA picture", CONVERT);
    }
    let kind = infer::get(beginning)?;
    let mime = kind.mime_type();
    Some(match mime {
        "image/jp2" => ("a JPEG 2000 picture".into(), CONVERT),
        "image/jxl" => ("a JPEG XL picture".into(), CONVERT),
        "image/vnd.ms-photo" => ("a JPEG XR picture".into(), CONVERT),
        "image/vnd.adobe.photoshop" => ("a Photoshop picture (PSD)".into(), CONVERT),
        "image/vnd.microsoft.icon" => ("an icon (ICO)".into(), CONVERT),
        "image/x-canon-cr2" => ("a camera's raw picture".into(), CONVERT),
        "application/pdf" => ("a PDF document".into(), RENDER),
        "application/postscript" => ("a PostScript document".into(), RENDER),
        "application/zip" => ("a ZIP archive".into(), UNPACK),
        "application/gzip" => ("a gzip archive".into(), UNPACK),
        _ if mime.starts_with("image/") => (format!("a picture of type {mime}"), CONVERT),
        _ if mime.starts_with("video/") => (format!("a film ({mime})"), FRAMES),
        _ => (format!("a file of type {mime}"), NOTHING),
    })
}

fn is_svg(beginning: &[u8]) -> bool {
    let text = match from_utf8(beginning) {
        Ok(text) => text,
        // The beginning may end within a character.
        Err(error) => from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default(),
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<svg") || (text.starts_with('<') && text.contains("<svg"))
}

/// Files of this format begin with no mark of it.
fn is_tga(beginning: &[u8], path: &Path) -> bool {
    let &[_, palette, kind, .., w0, w1, h0, h1, depth, _] = beginning.first_chunk::<18>().unwrap_or(&[0xff; 18]);
    let possible = palette <= 1
        && matches!(kind, 1..=3 | 9..=11)
        && matches!(depth, 8 | 15 | 16 | 24 | 32)
        && [w0, w1] != [0, 0]
        && [h0, h1] != [0, 0];
    let ending = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tga"));
    possible && (ending || (palette == 0 && beginning[..2] == [0, 0] && beginning[3..12] == [0; 9]))
}

/// Endings of files that programs put beside pictures, to say more of them.
const SIDECARS: [&str; 10] = ["json", "xml", "txt", "csv", "xmp", "yaml", "yml", "aae", "toml", "md"];

/// Whether a file has the name of one that lies beside pictures, to say more of them.
pub(super) fn is_sidecar(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| SIDECARS.iter().any(|sidecar| ending.eq_ignore_ascii_case(sidecar)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_they_are() {
        let long = |start: &[u8]| [start, &[0; 200]].concat();
        let dicom = [&[0; 128][..], b"DICM"].concat();
        for (name, beginning, said) in [
            ("a.heic", long(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "HEIC"),
            ("a.heic", long(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), "HEIC"),
            ("a.avif", long(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"), "AVIF"),
            ("a.avif", long(b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1"), "AVIF"),
            ("a.jp2", long(b"\0\0\0\x0cjP  \r\n\x87\n"), "JPEG 2000"),
            ("a.j2k", long(b"\xff\x4f\xff\x51\0"), "JPEG 2000"),
            ("a.tga", long(&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0, 24, 0]), "TGA"),
            ("a", long(&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0, 24, 0]), "TGA"),
            ("a.ico", long(&[0, 0, 1, 0, 1, 0]), "ICO"),
            ("a.psd", long(b"8BPS\0\x01"), "Photoshop"),
            ("a.pdf", long(b"%PDF-1.7\n"), "PDF"),
            ("a.svg", b"<?xml version=\"1.0\"?>\n<svg width=\"9\"/>".to_vec(), "SVG"),
            ("a.svg", b"\xef\xbb\xbf <svg/>".to_vec(), "SVG"),
            ("a.dcm", dicom, "DICOM"),
            ("a.jxl", long(b"\xff\x0a\0"), "JPEG XL"),
            ("a.exr", long(b"\x76\x2f\x31\x01"), "OpenEXR"),
            ("a.zip", long(b"PK\x03\x04"), "ZIP"),
            ("a.mp4", long(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"), "film"),
        ] {
            let (kind, todo) = kind(&beginning, Path::new(name)).unwrap_or_else(|| panic!("{name}"));
            assert!(kind.contains(said) && !todo.is_empty(), "{name}: {kind}");
            assert_eq!(format(&beginning), None, "{name}");
        }
        assert_eq!(kind(b"these are letters", Path::new("a.tga")), None);
        assert_eq!(format(b"P5 pages of text"), Some(ImageFormat::Pnm));
        assert_eq!(format(b"P5pages of text"), None);
    }
}
