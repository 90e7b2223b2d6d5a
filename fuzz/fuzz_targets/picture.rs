//! Pictures in a folder: found, decoded, turned upright, scaled to what a network takes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkdgan::unstable::data::{PreprocessingInternals, files_below, read_picture};
use pkdgan::data::{Fit, Preprocessing, Range};

fuzz_target!(|bytes: &[u8]| {
    let (folder, path) = pkdgan_fuzz::file("picture.png", bytes);
    let found: Vec<_> = files_below(folder.path(), false).map(|file| file.expect("a plain file")).collect();
    assert_eq!(found, [path.clone()]);
    for (channels, fit) in [(1, Fit::Pad), (3, Fit::Crop)] {
        let Ok(picture) = read_picture(&path) else { return };
        let preprocessing = Preprocessing { channels, height: 28, width: 20, side: 32, fit, range: Range::Full };
        let pixels = preprocessing.pixels(picture).expect("every picture can be scaled");
        assert_eq!(pixels.len(), channels * 28 * 20);
    }
});
