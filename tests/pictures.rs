//! Picture files, and what networks are given of them.

use std::path::{Path, PathBuf};

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{
    DynamicImage, Frame, GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage,
};
use pkdgan::data::{DataError, Fit, PictureError, PictureProblem, Preprocessing, Range, Remarks};
use pkdgan::unstable::data::{
    MemoryBudget, Patterns, Pictures, PreprocessingInternals, Search, read_noted, read_picture,
};
use tempfile::TempDir;

fn preprocessing(channels: usize, side: usize, fit: Fit) -> Preprocessing {
    Preprocessing { channels, height: side, width: side, side, fit, range: Range::Full }
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
        ("notes.dat", b"not a picture at all".to_vec(), "no picture of a known format"),
        ("letters.bmp", b"these are letters".to_vec(), "no picture of a known format"),
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
        Pictures::read(folder.path(), &preprocessing, 20, &Search::default(), &mut |done, all| heard.push((done, all)))
            .unwrap();
    assert_eq!(heard, (1..=100).map(|done| (done, 100)).collect::<Vec<_>>());
    assert_eq!((read.images.count(), read.paths.len(), read.skipped.len()), (95, 95, 5));
    assert!(bad.iter().all(|(path, _)| read.skipped.iter().any(|error| error.path == *path)));
    assert!(read.paths.is_sorted());
    for (index, path) in read.paths.iter().enumerate() {
        let n: u8 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(*read.images.image(index).unwrap(), [n; 64], "{}", path.display());
    }

    let again =
        |least| Pictures::read(folder.path(), &preprocessing, least, &Search::default(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(again(96), DataError::TooFewPictures { usable: 95, least: 96, .. }));
    std::fs::write(folder.path().join("one more"), "").unwrap();
    let message = again(20).to_string();
    for part in ["6 of 101 files", "5 %", "cut.png: damaged", "huge.png: 60000 x 60000", "one more: empty file"] {
        assert!(message.contains(part), "{message}");
    }
    let none = Pictures::read(&folder.path().join("none"), &preprocessing, 1, &Search::default(), &mut |_, _| {});
    assert!(matches!(none, Err(DataError::NoFolder { .. })));
}

/// The pixels of a file at its own size, in colours, and what is worth knowing of it.
fn read(path: &Path, range: Range, lenient: bool, side: usize) -> Result<(Vec<u8>, Remarks), PictureError> {
    let preprocessing = Preprocessing { range, ..preprocessing(3, side, Fit::Stretch) };
    read_noted(path, &preprocessing, lenient, &MemoryBudget::new(u64::MAX))
}

/// Colours that no two pixels share.
fn colours(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| Rgb([(5 * x) as u8, (5 * y) as u8, (3 * x + 2 * y) as u8]))
}

/// The formats that keep every value.
const LOSSLESS: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Pnm];

/// The JPEG files of `tests/data/jpeg`: grey and colours, sampled, with restarts, in passes, CMYK.
fn jpegs() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpeg");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    assert_eq!(files.len(), 7);
    files
}

#[test]
fn every_format_gives_the_same_values() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    let side = 40;
    let picture = colours(side);
    let planes = preprocessing(3, 40, Fit::Pad).pixels(picture.clone().into()).unwrap();
    let grey = DynamicImage::from(picture.clone()).into_luma8();
    let wide = |value: u8| u16::from(value) * 257;
    for format in LOSSLESS {
        picture.save_with_format(&path, format).unwrap();
        assert!(read(&path, Range::Full, false, 40).unwrap() == (planes.clone(), Remarks::default()), "{format:?}");
        if format != ImageFormat::WebP {
            grey.save_with_format(&path, format).unwrap();
            // Grey with a palette is read as colours.
            let read = read_picture(&path).unwrap();
            assert!(read.to_rgb8() == DynamicImage::from(grey.clone()).to_rgb8(), "{format:?}");
        }
    }
    let deep: ImageBuffer<Rgb<u16>, _> =
        ImageBuffer::from_fn(side, side, |x, y| Rgb(picture.get_pixel(x, y).0.map(wide)));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        deep.save_with_format(&path, format).unwrap();
        let (pixels, remarks) = read(&path, Range::Full, false, 40).unwrap();
        assert!(pixels == planes && remarks.bits == Some(16), "{format:?}");
    }
    // A palette of 256 colours holds these.
    let few = RgbImage::from_fn(side, side, |x, y| Rgb([(x / 4 * 20) as u8, (y / 4 * 20) as u8, 9]));
    few.save_with_format(&path, ImageFormat::Gif).unwrap();
    assert!(read_picture(&path).unwrap() == few.into());
    for (name, bytes) in jpegs() {
        std::fs::write(&path, &bytes).unwrap();
        let read = read_picture(&path).unwrap();
        let ours = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).unwrap();
        assert!(read == ours, "{name}");
    }
}

#[test]
fn a_picture_that_is_cut_anywhere_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    let mut files = jpegs();
    for format in LOSSLESS.into_iter().chain([ImageFormat::Gif]) {
        colours(24).save_with_format(&path, format).unwrap();
        files.push((format!("{format:?}"), std::fs::read(&path).unwrap()));
    }
    for (name, bytes) in files {
        std::fs::write(&path, &bytes).unwrap();
        read_picture(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        // The last byte of some formats only fills up.
        let lengths = (1..bytes.len() - 1).filter(|length| bytes.len() < 300 || length % 5 == 0);
        for length in lengths.chain([bytes.len() * 6 / 10]) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_picture(&path).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn a_jpeg_that_ends_before_its_picture_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture.jpg");
    for (name, bytes) in jpegs() {
        if name.contains("passes") {
            // Its first passes are a picture too.
            continue;
        }
        let length = bytes.len();
        for cut in [length * 6 / 10, length * 8 / 10, length - 40] {
            let cut = (cut..).find(|&cut| bytes[cut - 1] != 0xff).unwrap();
            std::fs::write(&path, [&bytes[..cut], &[0xff, 0xd9]].concat()).unwrap();
            let error = read_picture(&path).map(drop).unwrap_err().to_string();
            assert!(error.contains("damaged: a part of it is missing"), "{name} at {cut}: {error}");
        }
    }
}

#[test]
fn a_damaged_picture_is_read_on_demand_with_a_remark() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    let check = |bytes: &[u8], name: &str, readable: bool| {
        std::fs::write(&path, &bytes[..bytes.len() * 6 / 10]).unwrap();
        let error = read(&path, Range::Full, false, 32).map(drop).unwrap_err();
        assert!(matches!(error.problem, PictureProblem::Damaged(_)), "{name}: {error}");
        match read(&path, Range::Full, true, 32) {
            Ok((_, remarks)) => assert!(readable && remarks.damaged.unwrap().contains("cut short"), "{name}"),
            Err(error) => assert!(!readable, "{name}: {error}"),
        }
    };
    // Of those in passes some give nothing.
    for (name, bytes) in jpegs().into_iter().filter(|(name, _)| !name.contains("passes")) {
        check(&bytes, &name, true);
    }
    for (format, readable) in [(ImageFormat::Png, true), (ImageFormat::WebP, false)] {
        colours(64).save_with_format(&path, format).unwrap();
        check(&std::fs::read(&path).unwrap(), &format!("{format:?}"), readable);
    }
}

#[test]
fn transparent_pixels_lie_on_black_and_are_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    let half = RgbaImage::from_fn(8, 8, |x, _| Rgba([200, 100, 50, if x < 4 { 255 } else { 51 }]));
    for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::WebP] {
        half.save_with_format(&path, format).unwrap();
        let (pixels, remarks) = read(&path, Range::Full, false, 8).unwrap();
        assert!(remarks.transparent, "{format:?}");
        assert_eq!([pixels[0], pixels[7], pixels[64 + 7], pixels[128 + 7]], [200, 40, 20, 10], "{format:?}");
    }
    let opaque = RgbaImage::from_pixel(8, 8, Rgba([200, 100, 50, 255]));
    opaque.save_with_format(&path, ImageFormat::Png).unwrap();
    assert!(!read(&path, Range::Full, false, 8).unwrap().1.transparent);
    // Hidden below, whatever colour it has.
    let hidden: ImageBuffer<LumaA<u8>, _> = ImageBuffer::from_pixel(8, 8, LumaA([250, 0]));
    hidden.save_with_format(&path, ImageFormat::Png).unwrap();
    assert_eq!(read_picture(&path).unwrap(), GrayImage::new(8, 8).into());
}

#[test]
fn twelve_bits_in_sixteen_are_noted_and_may_be_the_range() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_fn(8, 8, |x, y| Luma([(64 * (8 * y + x) + 63) as u16]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        deep.save_with_format(&path, format).unwrap();
        let (pixels, remarks) = read(&path, Range::Full, false, 8).unwrap();
        assert_eq!((pixels[63], remarks.bits), (16, Some(12)), "{format:?}");
        let (pixels, _) = read(&path, Range::Bits(12), false, 8).unwrap();
        assert_eq!([pixels[0], pixels[31], pixels[63]], [4, 127, 255], "{format:?}");
    }
    // This format says which value is white.
    std::fs::write(&path, b"P2 2 1 4095 4095 2048").unwrap();
    for range in [Range::Full, Range::Bits(12)] {
        let (pixels, remarks) = read(&path, range, false, 2).unwrap();
        assert_eq!((pixels[0], pixels[1], remarks.bits), (255, 128, None), "{range}");
    }
}

#[test]
fn grey_is_what_the_formula_says() {
    let colours = RgbImage::from_fn(97, 89, |x, y| Rgb([(x * 2 + y) as u8, (x * 7 + y * 3) as u8, (x ^ y) as u8]));
    let formula = |&Rgb([r, g, b]): &Rgb<u8>| {
        let [r, g, b] = [r, g, b].map(f64::from);
        0.212648 * r + 0.715179 * g + 0.072173 * b
    };
    let preprocessing = Preprocessing { height: 89, width: 97, ..preprocessing(1, 97, Fit::Pad) };
    let grey = preprocessing.pixels(colours.clone().into()).unwrap();
    for (pixel, grey) in colours.pixels().zip(grey) {
        // Six digits of the weights leave this much.
        let error = (formula(pixel) - f64::from(grey)).abs();
        assert!(error <= 0.501, "{pixel:?}: {grey}");
    }
}

/// A chunk of a PNG.
fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes(), kind, data, &sum.sum().to_be_bytes()].concat()
}

/// EXIF data that say to turn by 90 degrees clockwise.
const TURN: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

#[test]
fn pictures_are_turned_as_any_chunk_of_a_png_says() {
    use std::io::Write;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture.png");
    halves(32, 16).save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 12;
    let hexadecimal: String = TURN.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = hexadecimal.split_at(36);
    let profile = format!("\nexif\n{:8}\n{first}\n{rest}\n", TURN.len());
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(profile.as_bytes()).unwrap();
    let named = |name: &str, rest: &[u8]| [name.as_bytes(), rest].concat();
    let packed = named("Raw profile type exif\0\0", &packed.finish().unwrap());
    let plain = named("Raw profile type exif\0", profile.as_bytes());
    for (name, chunk, turned) in [
        ("eXIf", chunk(b"eXIf", TURN), true),
        ("zTXt", chunk(b"zTXt", &packed), true),
        ("tEXt", chunk(b"tEXt", &plain), true),
        ("another text", chunk(b"tEXt", b"Comment\0exif"), false),
        ("a torn text", chunk(b"zTXt", &packed[..40]), false),
    ] {
        for place in [33, end] {
            std::fs::write(&path, [&bytes[..place], &chunk, &bytes[place..]].concat()).unwrap();
            let read = read_picture(&path).unwrap();
            let sides = if turned { (16, 32) } else { (32, 16) };
            assert_eq!((read.width(), read.height()), sides, "{name} at {place}");
        }
    }
}

/// A TIFF of one grey pixel, with these tags besides, and what follows it.
fn tiff(tags: &[(u16, u16, u32)], next: u32) -> Vec<u8> {
    let mut tags = tags.to_vec();
    let pixel = 8 + 2 + 12 * (tags.len() as u32 + 8) + 4;
    // Width, height, bits, packing, what zero means, where the strip is, its rows, its bytes.
    let basic =
        [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, pixel), (278, 3, 1), (279, 4, 1)];
    tags.extend(basic);
    tags.sort_unstable();
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, value) in tags {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([1u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend(next.to_le_bytes());
    bytes.push(77);
    bytes
}

#[test]
fn the_first_of_several_pictures_is_taken_and_that_is_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    let several = || read(&path, Range::Full, false, 1).unwrap().1.several;
    for count in [1, 2] {
        let mut bytes = Vec::new();
        let frames = (0..count).map(|n| Frame::new(RgbaImage::from_pixel(4, 4, Rgba([100 * (n + 1), 0, 0, 255]))));
        GifEncoder::new(&mut bytes).encode_frames(frames).unwrap();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(several(), count > 1);
        assert_eq!(read_picture(&path).unwrap().into_rgb8().get_pixel(1, 1).0, [100, 0, 0]);
    }
    for next in [0, 4096] {
        std::fs::write(&path, tiff(&[], next)).unwrap();
        assert_eq!(several(), next > 0);
        assert_eq!(read_picture(&path).unwrap(), GrayImage::from_pixel(1, 1, Luma([77])).into());
    }
    // What cameras keep is no picture to look at: the first in such a file is a small copy.
    for tags in [&[(254, 4, 1)][..], &[(50706, 1, 0x401)]] {
        std::fs::write(&path, tiff(tags, 8)).unwrap();
        let error = read_picture(&path).unwrap_err().to_string();
        assert!(error.contains("a camera's raw picture, which is not read; convert it"), "{error}");
    }
}

#[test]
fn litter_is_passed_over_and_files_beside_pictures_are_counted() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for inner in ["@eaDir", "__MACOSX", "old", "sub"] {
        std::fs::create_dir(path(inner)).unwrap();
    }
    for n in 0..20 {
        GrayImage::new(4, 4).save(path(&format!("{n:02}.png"))).unwrap();
        std::fs::write(path(&format!("{n:02}.json")), "{}").unwrap();
    }
    for name in ["Thumbs.db", "desktop.ini", ".DS_Store", "._00.png", "@eaDir/00.png", "__MACOSX/00.png"] {
        std::fs::write(path(name), "no picture").unwrap();
    }
    GrayImage::new(4, 4).save(path("old/00.png")).unwrap();
    GrayImage::new(4, 4).save(path("sub/extra.bmp")).unwrap();
    // A picture is one whatever its name.
    GrayImage::new(4, 4).save_with_format(path("sub/picture.txt"), ImageFormat::Png).unwrap();
    let read = |include: &[&str], exclude: &[&str]| {
        let [include, exclude] = [include, exclude].map(|list| list.iter().map(|&p| p.to_owned()).collect::<Vec<_>>());
        let search = Search { patterns: Patterns::new(&include, &exclude).unwrap(), ..Search::default() };
        Pictures::read(folder.path(), &preprocessing(1, 4, Fit::Pad), 1, &search, &mut |_, _| {}).unwrap()
    };
    let all = read(&[], &[]);
    assert_eq!((all.paths.len(), all.skipped.len()), (23, 0));
    assert_eq!((all.left_out.sidecars, all.left_out.excluded, all.left_out.unreadable), (20, 0, 0));
    let some = read(&["*.png", "sub/*.bmp"], &["old"]);
    assert_eq!(some.paths.len(), 21);
    assert!(some.paths.contains(&path("sub/extra.bmp")) && !some.paths.contains(&path("old/00.png")));
    // The sidecars, the picture with an odd name, and the folder.
    assert_eq!((some.left_out.sidecars, some.left_out.excluded), (0, 22));
}
