//! What is done to the images of each step, drawn by the seed before a stage begins. The op is `engine/ops/augment.rs`.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::stage::{Role, Stage};
use crate::config::{Config, PseudoAnomaly};
use crate::engine::{EngineError, Graph, Recolouring, Tensor, Transformation, VarId, Variables};

/// The tables of what is done to the images of each step; none where nothing is done to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transformations {
    images: Option<VarId>,
    pseudo_anomalies: Option<VarId>,
    max_shift: u32,
}

/// Streams of the seed; sample order and networks draw from 0 to 2.
const IMAGES: u64 = 3;
const PSEUDO_ANOMALIES: u64 = 4;

impl Transformations {
    /// Registers the tables that a stage needs.
    pub(super) fn register(config: &Config, stage: Stage, variables: &mut Variables) -> Self {
        let samples = samples(config, stage);
        let mut table = |needed: bool, name: &str| {
            needed.then(|| {
                let group = variables.group(name);
                variables.add(group, name, [1, 1, 1, samples])
            })
        };
        let augmentation = config.training.augmentation;
        Self {
            images: table(augmentation.mirror || augmentation.max_shift > 0, "transformations"),
            pseudo_anomalies: table(has_pseudo_anomalies(config, stage), "pseudo_anomalies"),
            max_shift: augmentation.max_shift,
        }
    }

    /// Whether images are seen as they are.
    pub(super) fn leave_images(&self) -> bool {
        self.images.is_none()
    }

    /// Adds the images of a step as they are seen, and the pseudo-anomalies made of them.
    pub(super) fn apply(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        images: Tensor,
        clock: Tensor,
    ) -> Result<(Tensor, Option<Tensor>), EngineError> {
        let mut apply = |codes: VarId| {
            let codes = graph.variable(variables, codes);
            graph.augment(images, codes, clock, self.max_shift)
        };
        let pseudo_anomalies = self.pseudo_anomalies.map(&mut apply).transpose()?;
        Ok((self.images.map(apply).transpose()?.unwrap_or(images), pseudo_anomalies))
    }

    /// What the tables hold, by the configured seed: each variable with its values.
    pub fn draw(&self, config: &Config, stage: Stage) -> Vec<(VarId, Vec<f32>)> {
        let kinds = &config.training.pseudo_anomalies.kinds;
        let grey = config.preprocessing().channels == 1;
        let mut drawn = Vec::new();
        for (table, stream) in [(self.images, IMAGES), (self.pseudo_anomalies, PSEUDO_ANOMALIES)] {
            let Some(table) = table else { continue };
            let mut draw = Draw::new(config.training.seed, stream);
            let codes = (0..samples(config, stage)).map(|_| {
                let mut transformation = draw.augmentation(config);
                if stream == PSEUDO_ANOMALIES {
                    match kinds[draw.below(kinds.len() as u32) as usize] {
                        PseudoAnomaly::Turned => transformation.turns = 1 + draw.below(3),
                        PseudoAnomaly::Recoloured => transformation.recolouring = draw.recolouring(grey),
                    }
                }
                transformation.code(self.max_shift)
            });
            drawn.push((table, codes.collect()));
        }
        drawn
    }
}

fn samples(config: &Config, stage: Stage) -> usize {
    let budget = stage.budget(config);
    budget.batch_size * budget.steps
}

/// Whether a network has own losses in the stage, and pseudo-anomalies in them.
fn has_pseudo_anomalies(config: &Config, stage: Stage) -> bool {
    let own = [stage.teacher(config), stage.student(config)].into_iter().flatten().any(Role::has_own_losses);
    own && config.training.pseudo_anomalies.weight > 0.0
}

/// Random numbers that are the same on every machine.
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

    fn augmentation(&mut self, config: &Config) -> Transformation {
        let augmentation = config.training.augmentation;
        let mirrored = augmentation.mirror && self.below(2) == 1;
        let mut shift = || self.below(2 * augmentation.max_shift + 1) as i32 - augmentation.max_shift as i32;
        let shift = [shift(), shift()];
        Transformation { mirrored, shift, ..Transformation::default() }
    }

    fn recolouring(&mut self, grey: bool) -> Recolouring {
        let kinds = [Recolouring::Negative, Recolouring::Next, Recolouring::Previous];
        kinds[self.below(if grey { 1 } else { 3 }) as usize]
    }
}
