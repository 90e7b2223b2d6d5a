//! CIFAR-10's binary files: loaded, and verified as after a download.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkdgan::data::{CLASSES, Dataset, Part};
use pkdgan::unstable::data::{Manifest, verify};

fuzz_target!(|bytes: &[u8]| {
    let data = pkdgan_fuzz::folder();
    let folder = Dataset::Cifar10.folder(data.path());
    std::fs::create_dir(&folder).expect("room for the input");
    std::fs::write(folder.join("test_batch.bin"), bytes).expect("room for the input");
    if let Ok(loaded) = Dataset::Cifar10.load(data.path(), Part::Test) {
        assert_eq!(loaded.labels.len(), loaded.images.count());
        assert_eq!(bytes.len(), loaded.labels.len() * (1 + 3 * 32 * 32));
        assert!(loaded.labels.iter().all(|&label| label < CLASSES));
    }
    // No input is as long as the published files.
    assert!(verify(&Manifest::official(Dataset::Cifar10), &folder).iter().all(|file| file.outcome.is_err()));
});
