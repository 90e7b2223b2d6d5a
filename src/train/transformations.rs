//! What is done to the images of each step, drawn by the seed as the steps come. The op is `engine/ops/augment.rs`.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ring::Ring;
use super::stage::{Role, Stage};
use crate::config::{AugmentationConfig, Config, PseudoAnomaly};
use crate::engine::{EngineError, Graph, Recolouring, Tensor, Transformation, Variables};

/// Room on the device for what is done to the images of coming steps; none where nothing is done to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transformations {
    images: Option<Ring>,
    pseudo_anomalies: Option<Ring>,
    max_shift: u32,
}

/// Streams of the seed; sample order and networks draw from 0 to 2.
const IMAGES: u64 = 3;
const PSEUDO_ANOMALIES: u64 = 4;

impl Transformations {
    /// Registers the room that a stage needs for so many steps.
    pub(super) fn register(config: &Config, stage: Stage, variables: &mut Variables, slots: usize) -> Self {
        let batch = stage.budget(config).batch_size;
        let mut ring =
            |needed: bool, name: &str| needed.then(|| Ring::register(variables, name, slots, [1, 1, 1, batch]));
        Self {
            images: ring(!Self::leave_images(config), "transformations"),
            pseudo_anomalies: ring(has_pseudo_anomalies(config, stage), "pseudo_anomalies"),
            max_shift: config.training.augmentation.max_shift,
        }
    }

    /// Whether images are seen as they are.
    pub(super) fn leave_images(config: &Config) -> bool {
        let augmentation = config.training.augmentation;
        !augmentation.mirror && !augmentation.flip && augmentation.max_shift == 0
    }

    /// Adds the images of a step as they are seen, and the pseudo-anomalies made of them.
    pub(super) fn apply(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        images: Tensor,
        clock: Tensor,
    ) -> Result<(Tensor, Option<Tensor>), EngineError> {
        let mut apply = |codes: Ring| {
            // The op goes round among all codes, and so round the ring.
            let codes = graph.variable(variables, codes.variable);
            graph.augment(images, codes, clock, self.max_shift)
        };
        let pseudo_anomalies = self.pseudo_anomalies.map(&mut apply).transpose()?;
        Ok((self.images.map(apply).transpose()?.unwrap_or(images), pseudo_anomalies))
    }

    /// What is done to one sample after the other, by the configured seed.
    pub fn codes(&self, config: &Config) -> Vec<Codes> {
        let rings = [(self.images, IMAGES), (self.pseudo_anomalies, PSEUDO_ANOMALIES)];
        let codes = |(ring, stream): (Option<Ring>, u64)| {
            Some(Codes {
                ring: ring?,
                draw: Draw::new(config.training.seed, stream),
                augmentation: config.training.augmentation,
                kinds: if stream == PSEUDO_ANOMALIES {
                    config.training.pseudo_anomalies.kinds.clone()
                } else {
                    Vec::new()
                },
                grey: config.preprocessing().channels == 1,
            })
        };
        rings.into_iter().filter_map(codes).collect()
    }
}

/// What is done to one sample after the other, as the op takes it, without an end.
#[derive(Clone, Debug)]
pub struct Codes {
    /// Where it goes on the device.
    pub ring: Ring,
    draw: Draw,
    augmentation: AugmentationConfig,
    /// How pseudo-anomalies are made; empty for the images themselves.
    kinds: Vec<PseudoAnomaly>,
    grey: bool,
}

impl Iterator for Codes {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        let Self { draw, kinds, .. } = self;
        let mut transformation = draw.augmentation(&self.augmentation);
        if !kinds.is_empty() {
            match kinds[draw.below(kinds.len() as u32) as usize] {
                PseudoAnomaly::Turned => {
                    // Half a turn is no anomaly where images are mirrored both ways.
                    let AugmentationConfig { mirror, flip, .. } = self.augmentation;
                    let turns = if mirror && flip { 1 + 2 * draw.below(2) } else { 1 + draw.below(3) };
                    transformation.turns = (transformation.turns + turns) % 4;
                }
                PseudoAnomaly::Recoloured => transformation.recolouring = draw.recolouring(self.grey),
            }
        }
        Some(transformation.code(self.augmentation.max_shift))
    }
}

/// Whether a network has own losses in the stage, and pseudo-anomalies in them.
fn has_pseudo_anomalies(config: &Config, stage: Stage) -> bool {
    let own = [stage.teacher(config), stage.student(config)].into_iter().flatten().any(Role::has_own_losses);
    own && config.training.pseudo_anomalies.weight > 0.0
}

/// Random numbers that are the same on every machine.
#[derive(Clone, Debug)]
struct Draw(ChaCha8Rng);

impl Draw {
    fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number below `count`: the upper half of the product with 64 random bits.
    fn below(&mut self, count: u32) -> u32 {
        ((u128::from(self.0.next_u64()) * u128::from(count)) >> 64) as u32
    }

    fn augmentation(&mut self, augmentation: &AugmentationConfig) -> Transformation {
        let mirrored = augmentation.mirror && self.below(2) == 1;
        let flipped = augmentation.flip && self.below(2) == 1;
        let mut shift = || self.below(2 * augmentation.max_shift + 1) as i32 - augmentation.max_shift as i32;
        let shift = [shift(), shift()];
        // Top and bottom change places where an image is turned by half and mirrored.
        let turns = if flipped { 2 } else { 0 };
        Transformation { turns, mirrored: mirrored != flipped, shift, ..Transformation::default() }
    }

    fn recolouring(&mut self, grey: bool) -> Recolouring {
        let kinds = [Recolouring::Negative, Recolouring::Next, Recolouring::Previous];
        kinds[self.below(if grey { 1 } else { 3 }) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Recipe;
    use crate::data::Dataset;

    /// Turns, and whether left and right change places, of many images as they are seen, and of pseudo-anomalies.
    fn drawn(mirror: bool, flip: bool) -> [BTreeSet<(u32, bool)>; 2] {
        let mut config = Recipe::Default.config(Dataset::Mnist);
        config.training.augmentation = AugmentationConfig { mirror, flip, max_shift: 0 };
        config.training.pseudo_anomalies.weight = 1.0;
        config.training.pseudo_anomalies.kinds = vec![PseudoAnomaly::Turned];
        let registered = Transformations::register(&config, Stage::Teacher, &mut Variables::new(), 1);
        let codes = registered.codes(&config);
        assert_eq!(codes.len(), if mirror || flip { 2 } else { 1 });
        let mut drawn = [BTreeSet::from([(0, false)]), BTreeSet::new()];
        for codes in codes {
            let drawn = &mut drawn[usize::from(!codes.kinds.is_empty())];
            drawn.extend(codes.take(200).map(|code| (code as u32 % 4, code as u32 / 4 % 2 == 1)));
        }
        drawn
    }

    #[test]
    fn images_are_mirrored_as_the_settings_say() {
        assert_eq!(drawn(true, false)[0], [(0, false), (0, true)].into());
        assert_eq!(drawn(false, true)[0], [(0, false), (2, true)].into());
        assert_eq!(drawn(true, true)[0], [(0, false), (0, true), (2, false), (2, true)].into());
    }

    #[test]
    fn no_image_that_counts_as_normal_is_a_pseudo_anomaly() {
        for (mirror, flip) in [(false, false), (true, false), (false, true), (true, true)] {
            let [normal, turned] = drawn(mirror, flip);
            assert!(turned.is_disjoint(&normal) && turned.len() > 2, "{mirror}, {flip}: {turned:?}");
        }
    }
}
