//! IDX files of both ranks, plain and gzip-packed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkdgan::unstable::data::read_idx;

fuzz_target!(|bytes: &[u8]| {
    let (_folder, path) = pkdgan_fuzz::file("idx", bytes);
    if let Ok(labels) = read_idx::<1>(&path) {
        assert_eq!(labels.dims[0], labels.values.len());
    }
    if let Ok(images) = read_idx::<3>(&path) {
        assert_eq!(images.dims.iter().product::<usize>(), images.values.len());
    }
});
