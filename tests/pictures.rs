//! Picture files, and what networks are given of them.

use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageEncoder, Luma, Rgb, RgbImage};
use pkdgan::data::{DataError, Fit, PictureProblem, Preprocessing};
use pkdgan::unstable::data::{Pictures, PreprocessingInternals, read_picture};
use tempfile::TempDir;

fn preprocessing(channels: usize, side: usize, fit: Fit) -> Preprocessing {
    Preprocessing { channels, height: side, width: side, side, fit }
}

/// Black on the left, white on the right.
fn halves(width: u32, height: u32) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, _| Luma([if x < width / 2 { 0 } else { 255 }])).into()
}

#[test]
fn three_ways_to_fit() {
    // 64 x 32 pixels on 32 x 32.
    let pixels = |fit| preprocessing(1, 32, fit).pixels(halves(64, 32)).unwrap();
    let crop = pixels(Fit::Crop);
    let stretch = pixels(Fit::Stretch);
    let pad = pixels(Fit::Pad);
    for (place, ((crop, stretch), pad)) in crop.iter().zip(&stretch).zip(&pad).enumerate() {
        let (x, y) = (place % 32, place / 32);
        let colour = if x < 16 { 0 } else { 255 };
        // Of the middle, nothing is scaled; halved, the two columns beside the edge take some of what is beyond it.
        assert_eq!(*crop, colour, "crop at {x}, {y}");
        if ![15, 16].contains(&x) {
            assert_eq!(*stretch, colour, "stretch at {x}, {y}");
            assert_eq!(*pad, if (8..24).contains(&y) { colour } else { 0 }, "pad at {x}, {y}");
        }
    }
    // A column more at the right where the margin is odd.
    let narrow = preprocessing(1, 8, Fit::Pad).pixels(GrayImage::from_pixel(3, 8, Luma([9])).into()).unwrap();
    assert_eq!(narrow[..8], [0, 0, 9, 9, 9, 0, 0, 0]);
    let tall = preprocessing(1, 8, Fit::Crop).pixels(GrayImage::from_fn(8, 16, |_, y| Luma([y as u8])).into()).unwrap();
    assert_eq!(tall.iter().step_by(8).copied().collect::<Vec<_>>(), (4..12).collect::<Vec<u8>>());
    // However thin, a pixel stays.
    let line = preprocessing(1, 32, Fit::Pad).pixels(GrayImage::from_pixel(5_000, 1, Luma([200])).into()).unwrap();
    assert_eq!(line.iter().filter(|&&value| value == 200).count(), 32);
}

#[test]
fn colours_become_planes_and_grey_is_their_brightness() {
    let picture: DynamicImage = RgbImage::from_pixel(4, 4, Rgb([10, 20, 30])).into();
    let planes = preprocessing(3, 4, Fit::Pad).pixels(picture.clone()).unwrap();
    assert_eq!(planes, [[10; 16], [20; 16], [30; 16]].concat());
    let grey = preprocessing(1, 4, Fit::Pad).pixels(picture).unwrap();
    // 0.2126 R + 0.7152 G + 0.0722 B (Rec. 709).
    assert!(grey.iter().all(|&value| value == 18 || value == 19), "{grey:?}");
    let same = preprocessing(1, 4, Fit::Pad).pixels(RgbImage::from_pixel(4, 4, Rgb([77; 3])).into()).unwrap();
    assert_eq!(same, [77; 16]);
}

#[test]
fn pictures_are_turned_upright() {
    let folder = TempDir::new().unwrap();
    // TIFF header, one entry: tag 0x0112, a short, which says to turn by 90 degrees clockwise.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let upright = |exif: Option<Vec<u8>>| {
        let path = folder.path().join("turned.jpg");
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 100);
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        let picture = halves(32, 16).into_luma8();
        encoder.write_image(&picture, 32, 16, image::ExtendedColorType::L8).unwrap();
        std::fs::write(&path, bytes).unwrap();
        read_picture(&path).unwrap().into_luma8()
    };
    let plain = upright(None);
    assert_eq!(plain.dimensions(), (32, 16));
    assert!(plain.get_pixel(2, 8).0[0] < 10 && plain.get_pixel(29, 8).0[0] > 245);
    let turned = upright(Some(exif));
    assert_eq!(turned.dimensions(), (16, 32));
    assert!(turned.get_pixel(8, 2).0[0] < 10 && turned.get_pixel(8, 29).0[0] > 245);
}

/// The header of a PNG that declares so many pixels, and no more.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    header.extend([8, 0, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec(), header, crc.sum().to_be_bytes().to_vec(), b"\0\0\0\0IDAT".to_vec()]
        .concat()
}

/// Writes a file of each bad kind; their names, and what is said of them.
fn bad_files(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let whole = folder.join("whole.png");
    halves(40, 40).save(&whole).unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::remove_file(whole).unwrap();
    let files: [(&str, Vec<u8>, &str); 5] = [
        ("cut.png", bytes[..bytes.len() / 2].to_vec(), "damaged"),
        ("huge.png", png_header(60_000, 60_000), "60000 x 60000 pixels"),
        ("nothing.jpg", Vec::new(), "empty file"),
        ("notes.txt", b"not a picture at all".to_vec(), "no PNG, JPEG or BMP"),
        ("letters.bmp", b"these are letters".to_vec(), "no PNG, JPEG or BMP"),
    ];
    let written = files.map(|(name, bytes, said)| {
        std::fs::write(folder.join(name), bytes).unwrap();
        (folder.join(name), said)
    });
    written.into()
}

#[test]
fn bad_files_say_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    for (path, said) in bad_files(folder.path()) {
        let message = read_picture(&path).unwrap_err().to_string();
        assert!(message.contains(&path.display().to_string()) && message.contains(said), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let missing = read_picture(&folder.path().join("none.png")).unwrap_err();
    assert!(matches!(missing.problem, PictureProblem::Read(_)), "{missing}");
    // A picture is known by its contents.
    let path = folder.path().join("picture.txt");
    halves(4, 4).save_with_format(&path, image::ImageFormat::Png).unwrap();
    read_picture(&path).unwrap();
}

#[test]
fn one_bad_file_in_twenty_is_skipped_and_more_stop() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("b/c");
    std::fs::create_dir_all(&inner).unwrap();
    for n in 0..95_u8 {
        let place = if n % 2 == 0 { folder.path() } else { &inner };
        GrayImage::from_pixel(8, 8, Luma([n])).save(place.join(format!("{n:02}.png"))).unwrap();
    }
    std::fs::write(folder.path().join(".hidden"), "passed over").unwrap();
    let bad = bad_files(folder.path());
    let preprocessing = preprocessing(1, 8, Fit::Pad);
    let mut heard = Vec::new();
    let read =
        Pictures::read(folder.path(), &preprocessing, 20, false, &mut |done, all| heard.push((done, all))).unwrap();
    assert_eq!(heard, (1..=100).map(|done| (done, 100)).collect::<Vec<_>>());
    assert_eq!((read.images.count(), read.paths.len(), read.skipped.len()), (95, 95, 5));
    assert!(bad.iter().all(|(path, _)| read.skipped.iter().any(|error| error.path == *path)));
    assert!(read.paths.is_sorted());
    for (index, path) in read.paths.iter().enumerate() {
        let n: u8 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(*read.images.image(index).unwrap(), [n; 64], "{}", path.display());
    }

    let again = |least| Pictures::read(folder.path(), &preprocessing, least, false, &mut |_, _| {}).unwrap_err();
    assert!(matches!(again(96), DataError::TooFewPictures { usable: 95, least: 96, .. }));
    std::fs::write(folder.path().join("one more"), "").unwrap();
    let message = again(20).to_string();
    for part in ["6 of 101 files", "5 %", "cut.png: damaged", "huge.png: 60000 x 60000", "one more: empty file"] {
        assert!(message.contains(part), "{message}");
    }
    let none = Pictures::read(&folder.path().join("none"), &preprocessing, 1, false, &mut |_, _| {});
    assert!(matches!(none, Err(DataError::NoFolder { .. })));
}
