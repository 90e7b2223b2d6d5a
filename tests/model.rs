//! The networks' tables, and the compression that the papers state.

use pkdgan::config::Recipe;
use pkdgan::data::Dataset;
use pkdgan::model::{Architecture, EncoderLayer, LatentConstraint};

#[test]
fn students_are_as_much_smaller_as_the_papers_state() {
    // P-KDGAN (arXiv 2007.06963): multiply-accumulates of the whole generator.
    for (dataset, stated) in [(Dataset::Cifar10, 24.45), (Dataset::Mnist, 311.11), (Dataset::FashionMnist, 700.0)] {
        let config = Recipe::Default.config(dataset);
        let (teacher, student) = (config.teacher(), config.student());
        let ratio = teacher.generator_macs() as f64 / student.generator_macs() as f64;
        assert!(ratio >= stated, "{dataset}: {ratio}");
        assert_eq!(teacher.latents, student.latents);
        let params = teacher.generator_params() as f64 / student.generator_params() as f64;
        assert!(params >= 6.0, "{dataset}: {params}");
    }
}

#[test]
fn figures_are_those_of_the_layer_tables() {
    let mnist = Recipe::Default.config(Dataset::Mnist);
    // E1, decoder and E2 alike: 8x8x8 of 1x4x4, 4x4x12 of 8x2x2, 48 of 12x4x4.
    assert_eq!(mnist.student().generator_macs(), 3 * (8_192 + 6_144 + 9_216));
    // 8x8x5 of 1x4x4, 4x4x8 of 5x2x2, 48 of 8x4x4.
    assert_eq!(Recipe::Default.config(Dataset::FashionMnist).student().generator_macs(), 3 * (5_120 + 2_560 + 6_144));
    let teacher = 48 * 256 * 16 + 96 * 64 * 48 * 16 + 192 * 16 * 96 * 16 + 48 * 192 * 16;
    assert_eq!(mnist.teacher().generator_macs(), 3 * teacher);
}

#[test]
fn a_decoder_gives_images_of_the_encoders_side() {
    for dataset in Dataset::ALL {
        let config = Recipe::Default.config(dataset);
        for architecture in [config.teacher(), config.student()] {
            architecture.check().unwrap();
            let [encoder, decoder, again] = architecture.generator();
            assert_eq!(encoder.output(), [architecture.latents, 1, 1]);
            assert_eq!(decoder.output(), encoder.input);
            assert_eq!(again.output(), encoder.output());
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let sound = Architecture {
        channels: 1,
        side: 32,
        encoder: vec![EncoderLayer::half(4)],
        latents: 8,
        latent_constraint: LatentConstraint::UnitRms,
        discriminator: vec![2, 3, 4],
    };
    sound.check().unwrap();
    let with = |encoder: Vec<EncoderLayer>| Architecture { encoder, ..sound.clone() };
    for (broken, part) in [
        (with(vec![]), "0 layers"),
        (with(vec![EncoderLayer::half(4); 17]), "17 layers"),
        (with(vec![EncoderLayer { stride: 4, ..EncoderLayer::half(4) }]), "[4, 4, 4, 1] on 32 x 32"),
        (with(vec![EncoderLayer { kernel: 40, ..EncoderLayer::half(4) }]), "on 32 x 32"),
        (with(vec![EncoderLayer { stride: 0, ..EncoderLayer::half(4) }]), "on 32 x 32"),
        (with(vec![EncoderLayer::half(1 << 40)]), "on 32 x 32"),
        (
            Architecture {
                side: 4096,
                ..with(vec![EncoderLayer { channels: 4096, kernel: 1, stride: 1, padding: 0 }])
            },
            "makes 68719476736 numbers",
        ),
        // The decoder would be 16 million matrix products, each with one tap or none.
        (
            Architecture {
                side: 4096,
                ..with(vec![EncoderLayer { channels: 1, kernel: 2, stride: 4094, padding: 0 }])
            },
            "at most 64 pixels at a time",
        ),
        (Architecture { latents: 0, ..sound.clone() }, "1 to 4096"),
        (Architecture { side: 30, ..sound.clone() }, "30 pixels"),
        (Architecture { side: usize::MAX, ..sound.clone() }, "1 to 4096"),
    ] {
        let problem = broken.check().unwrap_err();
        assert!(problem.contains(part), "{problem}");
    }
    // Windows side by side are one matrix product, however large.
    let side_by_side = EncoderLayer { channels: 1, kernel: 1024, stride: 1024, padding: 0 };
    Architecture { side: 4096, ..with(vec![side_by_side]) }.check().unwrap();
}
