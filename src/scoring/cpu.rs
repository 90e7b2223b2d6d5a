//! Scoring in vectorised Rust: no device, no memory taken per image.

use std::sync::Mutex;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu_layer::{Bordered, CpuLayer};
use super::generator::Generator;
use crate::engine::Source;

/// Norms below this count as this, as in the engine's `unit_rms`.
const SMALLEST: f32 = 1e-6;

/// Multiply-accumulates from which on other threads are worth their waking, which takes some 50 microseconds.
const WORTH_WAKING: u64 = 2_000_000;

/// A generator on the CPU: any architecture, single precision.
pub struct CpuScorer {
    generator: Generator,
    arch: Arch,
    layers: Vec<CpuLayer>,
    /// Layers of the first encoder, and of it and the decoder.
    ends: [usize; 2],
    /// What no thread works in at present.
    idle: Mutex<Vec<Workspace>>,
}

/// What one image's activations are kept in.
struct Workspace {
    /// The image, then the output of each layer; borders hold zeros.
    activations: Vec<Vec<f32>>,
    /// Sums of a layer before they are stored.
    sums: Vec<f32>,
}

impl CpuScorer {
    /// Makes the generator ready.
    pub fn new(generator: &Generator) -> Self {
        let plan = &generator.plan;
        let planned: Vec<_> = plan.chain().collect();
        // Each layer writes where the next reads, with the border that the next one's windows reach into.
        let [channels, ..] = plan.image();
        let mut layers = Vec::with_capacity(planned.len());
        let mut input = Bordered::read_by(planned[0]);
        debug_assert_eq!(input.channels, channels);
        for (index, layer) in planned.iter().enumerate() {
            let output = match planned.get(index + 1) {
                Some(next) => Bordered::read_by(next),
                None => Bordered::without(layer.layer.output),
            };
            layers.push(CpuLayer::new(layer, generator.weights.singles(), input, output));
            input = output;
        }
        let ends = planned.iter().position(|layer| layer.to == Source::Reconstruction).map_or(0, |at| at + 1);
        let first = plan.layers()[0].len();
        let generator = generator.clone();
        Self { generator, arch: Arch::new(), layers, ends: [first, ends], idle: Mutex::default() }
    }

    /// Numbers of an image.
    pub fn image_len(&self) -> usize {
        self.generator.plan.image().iter().product()
    }

    /// Scores whole images, `[n, C, H, W]` with pixels in -1..1, on all cores: a score for each. Where `reconstructions` has
    /// room for them (`[n, C, H, W]` too), they are written there.
    ///
    /// The scores do not depend on the number of threads.
    ///
    /// # Panics
    /// If the slices do not hold the same number of images.
    pub fn score(&self, pixels: &[f32], scores: &mut [f32], reconstructions: Option<&mut [f32]>) {
        let len = self.image_len();
        assert_eq!(pixels.len(), scores.len() * len, "pixels of as many images as scores");
        let room = reconstructions.as_ref().map_or(pixels.len(), |room| room.len());
        assert_eq!(room, pixels.len(), "room for as many reconstructions");
        if scores.len() == 1 || self.generator.plan.macs() * (scores.len() as u64) < WORTH_WAKING {
            return self.in_turn(pixels, scores, reconstructions);
        }
        // A few images at a time, so that threads do not wait for each other.
        const CHUNK: usize = 4;
        let chunks = pixels.par_chunks(CHUNK * len).zip(scores.par_chunks_mut(CHUNK));
        match reconstructions {
            None => chunks.for_each(|(pixels, scores)| self.in_turn(pixels, scores, None)),
            Some(room) => chunks
                .zip(room.par_chunks_mut(CHUNK * len))
                .for_each(|((pixels, scores), room)| self.in_turn(pixels, scores, Some(room))),
        }
    }

    /// Scores images one by one on this thread.
    fn in_turn(&self, pixels: &[f32], scores: &mut [f32], mut reconstructions: Option<&mut [f32]>) {
        let len = self.image_len();
        self.with_workspace(|workspace| {
            for (index, (pixels, score)) in pixels.chunks_exact(len).zip(scores).enumerate() {
                let room = reconstructions.as_mut().map(|room| &mut room[index * len..][..len]);
                *score = self.score_one(workspace, pixels, room);
            }
        });
    }

    fn with_workspace(&self, work: impl FnOnce(&mut Workspace)) {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut workspace = idle.unwrap_or_else(|| self.workspace());
        work(&mut workspace);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(workspace);
        }
    }

    fn workspace(&self) -> Workspace {
        let outputs = self.layers.iter().map(|layer| vec![0.0; layer.output.len()]);
        let sums = self.layers.iter().map(CpuLayer::sums).max().unwrap_or(0);
        let first = vec![0.0; self.layers[0].input.len()];
        Workspace { activations: [first].into_iter().chain(outputs).collect(), sums: vec![0.0; sums] }
    }

    fn score_one(&self, workspace: &mut Workspace, pixels: &[f32], room: Option<&mut [f32]>) -> f32 {
        self.arch.dispatch(Forward { scorer: self, workspace, pixels, room })
    }

    #[inline(always)]
    fn forward<S: Simd>(&self, simd: S, workspace: &mut Workspace, pixels: &[f32], room: Option<&mut [f32]>) -> f32 {
        let Workspace { activations, sums } = workspace;
        let [first, second] = self.ends;
        self.layers[0].input.fill(&mut activations[0], pixels);
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = activations.split_at_mut(index + 1);
            layer.run(simd, &before[index], &mut after[0], sums);
            if index + 1 == first || index + 1 == self.layers.len() {
                unit_rms(&mut after[0]);
            }
        }
        if let Some(room) = room {
            self.layers[second].input.take(&activations[second], room);
        }
        distance(&activations[first], &activations[self.layers.len()])
    }
}

/// A call of [`CpuScorer::forward`], compiled for each kind of processor.
struct Forward<'a> {
    scorer: &'a CpuScorer,
    workspace: &'a mut Workspace,
    pixels: &'a [f32],
    room: Option<&'a mut [f32]>,
}

impl WithSimd for Forward<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        self.scorer.forward(simd, self.workspace, self.pixels, self.room)
    }
}

/// Sums in this many parts, so that they are vectorised, always in the same order.
const PARTS: usize = 16;

#[inline(always)]
fn unit_rms(x: &mut [f32]) {
    let norm = squares(x.iter().copied()).sqrt();
    let scale = (x.len() as f32).sqrt() / norm.max(SMALLEST);
    x.iter_mut().for_each(|v| *v *= scale);
}

#[inline(always)]
fn distance(a: &[f32], b: &[f32]) -> f32 {
    squares(a.iter().zip(b).map(|(a, b)| a - b)).sqrt()
}

#[inline(always)]
fn squares(values: impl Iterator<Item = f32>) -> f32 {
    let mut parts = [0.0; PARTS];
    for (index, v) in values.enumerate() {
        parts[index % PARTS] += v * v;
    }
    parts.iter().sum()
}
