//! Configurations: recipes, layers, ranges and what their errors say.

use std::path::PathBuf;

use pkdgan::config::{Config, Recipe, Schedule, Statistics, steps_for_epochs};
use pkdgan::data::Dataset;
use pkdgan::unstable::config::resolve;
use proptest::prelude::*;
use tempfile::TempDir;

fn set(settings: &[&str]) -> Result<Config, String> {
    let settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
    resolve(Recipe::Default, None, &settings).map_err(|error| error.to_string())
}

fn from_file(text: &str, settings: &[&str]) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("my.toml");
    std::fs::write(&path, text).unwrap();
    let settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
    resolve(Recipe::Default, Some(&path), &settings).map_err(|error| {
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    })
}

/// Checks that `settings` are refused with a message that has every one of `parts`.
fn refused(settings: &[&str], parts: &[&str]) {
    let message = set(settings).unwrap_err();
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn the_default_recipe_is_written_out_whole() {
    let expected = r#"format = 1

[run]
stage = "all"
with_baseline = false

[data]
dataset = "mnist"
folder = ""
normal = 8
side = 32
eval_split = "test"
calibration = 0.1

[network]
generator = [48, 96, 192]
latents = 48
latent_constraint = "unit-rms"
discriminator = [32, 64, 128]

[training]
batch_size = 8
steps = 1500
seed = 0
learning_rate = 0.0005
schedule = "cosine"
betas = [0.5, 0.999]
init_std = 0.02
shuffle = true
norm_epsilon = 0.00001
norm_momentum = 0.1

[training.weights]
reconstruction = 50.0
latent = 5.0
adversarial = 0.1

[training.augmentation]
mirror = false
flip = false
max_shift = 0

[training.pseudo_anomalies]
weight = 0.0
margin = 1.0
kinds = ["turned"]

[scoring]
statistics = "running"
score = "default"

[student]
encoder = [[8, 4, 4, 0], [12, 2, 2, 0]]
discriminator = [8, 16, 32]
statistics = "running"

[student.weights]
reconstruction = 50.0
latent = 5.0
adversarial = 0.1

[student.alone]
batch_size = 16
steps = 24000
learning_rate = 0.008

[distillation]
precompute_teacher_outputs = true

[distillation.weights]
latent = 30.0
reconstruction = 30.0
reconstruction_latent = 30.0

[distillation.step1]
structure = 1
batch_size = 16
steps = 24000
learning_rate = 0.008
teacher_learning_rate = 0.0001

[distillation.step2]
structure = 4
batch_size = 8
steps = 250
learning_rate = 0.001
teacher_learning_rate = 0.0001
"#;
    assert_eq!(set(&[]).unwrap().to_toml().unwrap(), expected);
}

#[test]
fn own_images_have_a_layer_more_for_each_doubling() {
    for (side, layers) in [(32, 3), (64, 4), (128, 5)] {
        let config = set(&["data.dataset=images", "data.images.folder=/photos", &format!("data.side={side}")]).unwrap();
        assert_eq!((config.data.normal, config.data.side, config.data.calibration), (0, side, 0.2));
        let widths = [&config.network.generator, &config.network.discriminator, &config.student.discriminator];
        assert_eq!(widths.map(Vec::len), [layers; 3]);
        assert_eq!(config.student.encoder.len(), layers - 1);
        for architecture in [config.teacher(), config.student()] {
            architecture.check().unwrap();
            let layers = architecture.encoder("encoder").layers;
            assert_eq!(layers.last().map(|dense| dense.kernel), Some(4), "{side}");
        }
        let [teacher, student] = [config.teacher(), config.student()].map(|network| network.generator_macs());
        assert!((200..700).contains(&(teacher / student)), "{side}: {teacher} to {student}");
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, config.to_toml().unwrap()).unwrap();
        assert_eq!(Config::read(&path).unwrap(), config);
    }
    let own = ["data.dataset=images", "data.images.folder=/photos"];
    for (more, key) in [
        ("data.side=48", "data.side"),
        ("data.normal=3", "data.normal"),
        ("data.calibration=0", "data.calibration"),
        ("data.calibration=0.5", "data.calibration"),
        ("data.eval_split=validation", "data.eval_split"),
        ("network.generator=[4,6,8,8]", "network.generator"),
        ("data.images.folder=''", "data.images.folder"),
    ] {
        refused(&[own[0], own[1], more], &[key]);
    }
    refused(&["data.dataset=images"], &["--images DIR"]);
    refused(&["data.side=64"], &["data.side", "64"]);
    refused(&["data.images.folder=/photos"], &["data.images"]);
}

#[test]
fn a_configuration_from_before_calibration_holds_nothing_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    let text = set(&[]).unwrap().to_toml().unwrap().replace("calibration = 0.1\n", "");
    std::fs::write(&path, text).unwrap();
    assert_eq!(Config::read(&path).unwrap().data.calibration, 0.0);
}

#[test]
fn a_configuration_from_before_transformations_has_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    let now = set(&[]).unwrap();
    let mut text = now.to_toml().unwrap();
    // The version before had no flips.
    std::fs::write(&path, text.replace("flip = false\n", "")).unwrap();
    assert_eq!(Config::read(&path).unwrap(), now);
    for part in [
        "[training.augmentation]\nmirror = false\nflip = false\nmax_shift = 0\n\n",
        "[training.pseudo_anomalies]\nweight = 0.0\nmargin = 1.0\nkinds = [\"turned\"]\n\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
        text = text.replace(part, "");
    }
    std::fs::write(&path, text).unwrap();
    assert_eq!(Config::read(&path).unwrap(), now);
}

#[test]
fn the_paper_recipe_differs_where_it_should() {
    let mut expected = Recipe::Default.config(Dataset::Mnist);
    expected.training.batch_size = 1;
    expected.training.steps = 12_000;
    expected.training.learning_rate = 2e-4;
    expected.training.weights.latent = 3.0;
    expected.scoring.statistics = Statistics::PerImage;
    assert_eq!(resolve(Recipe::Paper, None, &[]).unwrap(), expected);
    assert_eq!("paper".parse::<Recipe>().unwrap(), Recipe::Paper);
    let message = "papr".parse::<Recipe>().unwrap_err().to_string();
    assert!(message.contains("`papr`") && message.contains("default or paper"), "{message}");
}

#[test]
fn single_settings_go_over_the_file_and_the_file_over_the_recipe() {
    let file = "[training]\nsteps = 20\nlearning_rate = 1\n[training.weights]\nlatent = 7\n";
    let config = from_file(file, &["training.steps=30", "data.dataset=fashion-mnist", "training.schedule = constant"]);
    let config = config.unwrap();
    assert_eq!((config.training.steps, config.training.learning_rate), (30, 1.0));
    assert_eq!((config.training.weights.latent, config.training.weights.reconstruction), (7.0, 50.0));
    assert_eq!((config.data.dataset, config.training.schedule), (Dataset::FashionMnist.into(), Schedule::Constant));
    assert_eq!(config.training.batch_size, 8);
}

#[test]
fn settings_take_any_toml_value_and_bare_words() {
    let config = set(&[
        "network.generator=[8, 16, 24]",
        "data.folder=/some where/else",
        "training.shuffle=false",
        "scoring.statistics=\"per-image\"",
        "training.learning_rate=1e-3",
    ]);
    let config = config.unwrap();
    assert_eq!(config.network.generator, [8, 16, 24]);
    assert_eq!(config.data.folder, PathBuf::from("/some where/else"));
    assert!(!config.training.shuffle);
    assert_eq!(config.scoring.statistics, Statistics::PerImage);
    assert_eq!(config.training.learning_rate, 1e-3);
    let config = set(&["data.folder=", "data.dataset=cifar-10"]).unwrap();
    assert_eq!((config.data.folder, config.data.dataset), (PathBuf::new(), Dataset::Cifar10.into()));
}

#[test]
fn unknown_keys_name_their_neighbour() {
    refused(&["training.lerning_rate=1"], &["--set training.lerning_rate=1", "did you mean `training.learning_rate`?"]);
    refused(&["training.batch=1"], &["unknown key `training.batch`", "`training.batch_size`"]);
    refused(&["data.seed=1"], &["unknown key `data.seed`", "`training.seed`"]);
    refused(&["steps=1"], &["unknown key `steps`", "`training.steps`"]);
    refused(&["training.weights.laten=1"], &["`training.weights.laten`", "`training.weights.latent`"]);
    refused(&["training.seed.more=1"], &["--set training.seed.more=1", "training.seed"]);
    let message = set(&["quux.xyzzy=1"]).unwrap_err();
    assert!(message.contains("`quux`") && !message.contains("did you mean"), "{message}");
    let message = from_file("[scoring]\nstatistic = \"running\"\n", &[]).unwrap_err();
    assert!(message.contains("my.toml") && message.contains("`scoring.statistics`"), "{message}");
}

#[test]
fn values_of_the_wrong_kind_say_where() {
    refused(&["training.steps=many"], &["--set training.steps=many", "steps", "many"]);
    refused(&["training.steps=-1"], &["--set training.steps=-1", "-1"]);
    refused(&["training.steps=1.5"], &["--set training.steps=1.5", "1.5"]);
    refused(&["network.generator=[1, 2]"], &["generator", "three"]);
    refused(&["network.generator=[1, 2"], &["generator"]);
    refused(&["training.schedule=linear"], &["linear", "cosine"]);
    refused(&["training.pseudo_anomalies.kinds=[\"bent\"]"], &["bent", "turned", "recoloured"]);
    let none = ["training.pseudo_anomalies.kinds=[]", "training.pseudo_anomalies.weight=1"];
    refused(&none, &["training.pseudo_anomalies.kinds", "at least one"]);
    set(&none[..1]).unwrap();
    refused(&["training=3"], &["`training` is a section", "training."]);
    refused(&["training.steps"], &["section.key=value"]);
    refused(&["=3"], &["section.key=value"]);
    refused(&["training.=3"], &["section.key=value"]);
    let message = from_file("[training]\nsteps = 20\nsteps = = 3\n", &[]).unwrap_err();
    assert!(message.contains("my.toml: line 3"), "{message}");
    let message = resolve(Recipe::Default, Some(&PathBuf::from("/no/such.toml")), &[]).unwrap_err().to_string();
    assert!(message.contains("/no/such.toml"), "{message}");
}

#[test]
fn ranges_name_key_value_and_bounds() {
    for (setting, key, allowed) in [
        ("data.normal=10", "data.normal", "0 to 9"),
        ("data.side=28", "data.side", "32"),
        ("network.generator=[48, 0, 192]", "network.generator", "1 to 4096"),
        ("network.discriminator=[4097, 1, 1]", "network.discriminator", "1 to 4096"),
        ("network.latents=0", "network.latents", "1 to 4096"),
        ("training.batch_size=0", "training.batch_size", "1 to 65536"),
        ("training.steps=0", "training.steps", "1 or more"),
        ("training.steps=268435457", "training.steps", "at most 2^31"),
        ("training.learning_rate=0", "training.learning_rate", "1e-12 to 10"),
        ("training.learning_rate=nan", "training.learning_rate", "1e-12 to 10"),
        ("training.learning_rate=inf", "training.learning_rate", "1e-12 to 10"),
        ("training.betas=[0.5, 1.0]", "training.betas", "below 1"),
        ("training.betas=[0.5, 0.999999999]", "training.betas", "below 1"),
        ("training.betas=[-0.1, 0.9]", "training.betas", "at least 0"),
        ("training.init_std=-0.02", "training.init_std", "1e-12 to 10"),
        ("training.norm_epsilon=0", "training.norm_epsilon", "1e-12 to 1"),
        ("training.norm_momentum=1.5", "training.norm_momentum", "1e-12 to 1"),
        ("training.augmentation.max_shift=17", "training.augmentation.max_shift", "0 to 16"),
        ("training.pseudo_anomalies.weight=-1", "training.pseudo_anomalies.weight", "0 to 1e6"),
        ("training.pseudo_anomalies.margin=4.5", "training.pseudo_anomalies.margin", "0 to 4"),
        ("training.weights.latent=-1", "training.weights.latent", "0 to 1e6"),
        ("student.encoder=[]", "student.encoder", "layers"),
        ("student.encoder=[[8, 5, 4, 0]]", "student.encoder", "fit the image"),
        ("student.encoder=[[8, 4, 0, 0]]", "student.encoder", "fit the image"),
        ("student.discriminator=[0, 1, 1]", "student.discriminator", "1 to 4096"),
        ("student.alone.steps=0", "student.alone.steps", "1 or more"),
        ("distillation.weights.latent=-1", "distillation.weights.latent", "0 to 1e6"),
        ("distillation.step1.batch_size=0", "distillation.step1.batch_size", "1 to 65536"),
        ("distillation.step2.learning_rate=0", "distillation.step2.learning_rate", "1e-12 to 10"),
    ] {
        refused(&[setting], &[&format!("`{key}` is "), allowed]);
    }
    for setting in ["data.normal=9", "network.generator=[1, 4096, 1]", "training.betas=[0, 0.9999]"] {
        set(&[setting]).unwrap();
    }
}

#[test]
fn seeds_that_toml_cannot_hold_are_out_of_range() {
    let mut config = Recipe::Default.config(Dataset::Mnist);
    config.training.seed = u64::MAX;
    assert!(config.validate().unwrap_err().to_string().contains("training.seed"));
    config.training.seed = i64::MAX as u64;
    config.validate().unwrap();
}

#[test]
fn a_complete_file_reads_back_and_an_incomplete_one_does_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    let config = resolve(Recipe::Paper, None, &["training.seed=7".into(), "training.betas=[0.1, 0.9]".into()]).unwrap();
    let text = config.to_toml().unwrap();
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config);
    std::fs::write(&path, text.replace("folder = \"\"\n", "")).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config, "no folder is an empty one");
    for (from, to, part) in [
        ("seed = 7\n", "", "seed"),
        ("seed = 7\n", "seed = 7\nsead = 7\n", "`training.seed`"),
        ("normal = 8", "normal = 11", "data.normal"),
    ] {
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let message = Config::read(&path).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn epochs_become_steps() {
    assert_eq!(steps_for_epochs(2, 5_851, 8), 1_463);
    assert_eq!(steps_for_epochs(1, 16, 8), 2);
    assert_eq!(steps_for_epochs(0, 16, 8), 0);
    assert_eq!(steps_for_epochs(3, 4, 0), 12);
    assert_eq!(steps_for_epochs(usize::MAX, 2, 1), usize::MAX);
}

proptest! {
    #[test]
    fn any_text_is_refused_or_taken_without_panic(key in "[a-z._]{0,20}", value in "\\PC{0,20}") {
        let _ = set(&[&format!("{key}={value}"), &format!("training.{key}={value}"), &format!("data.folder={value}")]);
    }

    #[test]
    fn real_numbers_survive_the_file(rate in 1e-9_f64..1.0, momentum in 1e-6_f64..1.0) {
        let mut config = Recipe::Default.config(Dataset::Mnist);
        config.training.learning_rate = rate;
        config.training.norm_momentum = momentum;
        prop_assert_eq!(&from_file(&config.to_toml().unwrap(), &[]).unwrap(), &config);
    }
}

#[test]
fn a_long_key_or_value_makes_a_short_message() {
    let long = "k".repeat(900_000);
    for text in [
        format!("{long} = 1\n"),
        format!("[training]\n{long} = 1\n"),
        format!("[run]\nstage = \"{long}\"\n"),
        format!("[data]\nnormal = \"{long}\"\n"),
        format!("[data.images]\nfolder = \"{long}\"\n"),
        format!("{long}\n"),
    ] {
        let started = std::time::Instant::now();
        let message = from_file(&text, &[]).unwrap_err();
        assert!(message.len() < 2_000, "{} bytes: {}", message.len(), &message[..200]);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
    let message = set(&[&format!("training.{long}=1")]).unwrap_err();
    assert!(message.len() < 2_000 && message.contains("bytes in all"), "{} bytes", message.len());
    let message = from_file(&"a = 1 # longer\n".repeat(100_000), &[]).unwrap_err();
    assert!(message.contains("more than 1048576 bytes"), "{message}");
}
