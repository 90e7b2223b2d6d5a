//! Configurations: complete ones as in run folders, and files that change a few settings of a recipe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkdgan::config::{Config, Recipe};
use pkdgan::unstable::config::resolve;

fuzz_target!(|bytes: &[u8]| {
    let (folder, path) = pkdgan_fuzz::file("config.toml", bytes);
    let layered = resolve(Recipe::default(), Some(&path), &[]);
    // The first line by itself, as after --set.
    let set = String::from_utf8_lossy(bytes).lines().next().map(str::to_owned);
    let single = resolve(Recipe::default(), None, &Vec::from_iter(set));
    for config in [Config::read(&path), layered, single].into_iter().flatten() {
        for architecture in [config.teacher(), config.student()] {
            architecture.check().expect("a valid configuration has networks that fit");
            assert!(architecture.generator_macs() > 0 && architecture.generator_params() > 0);
        }
        let copy = folder.path().join("copy.toml");
        std::fs::write(&copy, config.to_toml().expect("a valid configuration is TOML")).expect("room for the copy");
        assert_eq!(Config::read(&copy).expect("what was written can be read"), config);
    }
});
