//! Scores images with a planned generator: workspaces, threads, images per lane or one by one. The layers are in
//! `layer.rs`.

use std::array;
use std::sync::{Arc, Mutex};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::bordered::Bordered;
use super::channel_per_lane::Memory;
use super::layer::CpuLayer;
use crate::engine::MIN_NORM;
use crate::engine::fused::{FusedNetworks, PackedWeights, Source};
use crate::threads::{has_pool, pool_threads};

/// Multiply-accumulates from which on other threads are worth their waking, which takes some 50 microseconds.
const MIN_PARALLEL_MACS: u64 = 5_000_000;
/// Images that a thread takes at a time at most: whole vectors of them, and few, so that threads do not wait for each
/// other.
const CHUNK: usize = 16;

/// A generator on the CPU: any architecture, single precision.
pub struct CpuScorer {
    plan: Arc<FusedNetworks>,
    /// Images that are scored at once, one per lane.
    lanes: usize,
    layers: Vec<CpuLayer>,
    /// Layers of the first encoder, and of it and the decoder.
    ends: [usize; 2],
    /// What no thread works in at present.
    idle: Mutex<Vec<Workspace>>,
}

/// What the activations of one image, or of several images, one per lane, are kept in.
struct Workspace {
    /// The image, then the output of each layer; borders hold zeros.
    activations: Vec<Vec<f32>>,
    /// The same for several images, one per lane; made when there are such.
    batched: Vec<Vec<f32>>,
    /// Sums of a layer before they are stored.
    sums: Vec<f32>,
}

impl CpuScorer {
    /// Makes a planned generator ready, with the weights that are packed for the plan.
    pub fn new(plan: &Arc<FusedNetworks>, weights: &PackedWeights) -> Self {
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
            layers.push(CpuLayer::new(layer, weights.singles(), input, output));
            input = output;
        }
        let ends = planned.iter().position(|layer| layer.to == Source::Reconstruction).map_or(0, |at| at + 1);
        let first = plan.layers()[0].len();
        let plan = plan.clone();
        Self { plan, lanes: dispatch(Lanes), layers, ends: [first, ends], idle: Mutex::default() }
    }

    /// Numbers of an image.
    pub fn image_len(&self) -> usize {
        self.plan.image().iter().product()
    }

    /// Numbers of a latent vector.
    pub fn latents(&self) -> usize {
        self.plan.latents()
    }

    /// Scores whole images, `[n, C, H, W]` with pixels in -1..1, on all cores: a score for each. Where
    /// `reconstructions` has room for them (`[n, C, H, W]` too), they are written there.
    ///
    /// The scores depend neither on the number of threads nor on what other images there are.
    ///
    /// # Panics
    /// If the slices do not hold the same number of images.
    pub fn score(&self, pixels: &[f32], scores: &mut [f32], reconstructions: Option<&mut [f32]>) {
        let few = scores.len() == 1 || self.plan.macs() * (scores.len() as u64) < MIN_PARALLEL_MACS;
        if few || !has_pool() {
            return self.score_here(pixels, scores, reconstructions);
        }
        let len = self.image_len();
        self.check(pixels, scores, reconstructions.as_deref());
        let chunk = (scores.len() / pool_threads()).clamp(1, CHUNK);
        let chunks = pixels.par_chunks(chunk * len).zip(scores.par_chunks_mut(chunk));
        match reconstructions {
            None => chunks.for_each(|(pixels, scores)| self.score_here(pixels, scores, None)),
            Some(room) => chunks
                .zip(room.par_chunks_mut(chunk * len))
                .for_each(|((pixels, scores), room)| self.score_here(pixels, scores, Some(room))),
        }
    }

    /// The same on this thread alone.
    ///
    /// # Panics
    /// If the slices do not hold the same number of images.
    pub fn score_here(&self, pixels: &[f32], scores: &mut [f32], reconstructions: Option<&mut [f32]>) {
        self.score_with_latents_here(pixels, scores, reconstructions, None);
    }

    /// The same, and the images' latent vectors, `[n, latents]`, where there is room for them.
    ///
    /// # Panics
    /// If the slices do not hold the same number of images.
    pub fn score_with_latents_here(
        &self,
        pixels: &[f32],
        scores: &mut [f32],
        mut reconstructions: Option<&mut [f32]>,
        mut latents: Option<&mut [f32]>,
    ) {
        self.check(pixels, scores, reconstructions.as_deref());
        let vector = self.latents();
        let fits = latents.as_deref().is_none_or(|room| room.len() == scores.len() * vector);
        assert!(fits, "room for as many latent vectors");
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut workspace = idle.unwrap_or_else(|| self.workspace());
        let len = self.image_len();
        let mut first = 0;
        while first < scores.len() {
            let count = if scores.len() - first < self.lanes { 1 } else { self.lanes };
            let call = Call {
                scorer: self,
                workspace: &mut workspace,
                pixels: &pixels[first * len..][..count * len],
                room: reconstructions.as_mut().map(|room| &mut room[first * len..][..count * len]),
                latents: latents.as_mut().map(|room| &mut room[first * vector..][..count * vector]),
                scores: &mut scores[first..][..count],
            };
            match count {
                1 => dispatch(One(call)),
                _ => dispatch(ImagePerLane(call)),
            }
            first += count;
        }
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(workspace);
        }
    }

    fn check(&self, pixels: &[f32], scores: &[f32], reconstructions: Option<&[f32]>) {
        assert_eq!(pixels.len(), scores.len() * self.image_len(), "pixels of as many images as scores");
        assert!(reconstructions.is_none_or(|room| room.len() == pixels.len()), "room for as many reconstructions");
    }

    fn workspace(&self) -> Workspace {
        let outputs = self.layers.iter().map(|layer| vec![0.0; layer.output.len()]);
        let sums = self.layers.iter().map(CpuLayer::sums).max().unwrap_or(0);
        let first = vec![0.0; self.layers[0].input.len()];
        let activations = [first].into_iter().chain(outputs).collect();
        Workspace { activations, batched: Vec::new(), sums: vec![0.0; sums] }
    }

    /// Scores an image.
    #[inline(always)]
    fn one<S: Simd>(
        &self,
        simd: S,
        workspace: &mut Workspace,
        pixels: &[f32],
        [room, latents]: [Option<&mut [f32]>; 2],
    ) -> f32 {
        let Workspace { activations, sums, .. } = workspace;
        let [first, second] = self.ends;
        self.layers[0].input.fill::<1>(&mut activations[0], pixels);
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = activations.split_at_mut(index + 1);
            layer.run(simd, &mut Memory { input: &before[index], output: &mut after[0], sums });
            if self.plan.unit_rms() && (index + 1 == first || index + 1 == self.layers.len()) {
                unit_rms::<1>(&mut after[0]);
            }
        }
        if let Some(room) = room {
            self.layers[second].input.take(&activations[second], room, [0, 1]);
        }
        if let Some(latents) = latents {
            self.layers[first].input.take(&activations[first], latents, [0, 1]);
        }
        let [score] = distance(&activations[first], &activations[self.layers.len()]);
        score
    }

    /// Scores as many images as a vector has numbers, which are `L`.
    #[inline(always)]
    fn image_per_lane<S: Simd, const L: usize>(
        &self,
        simd: S,
        workspace: &mut Workspace,
        pixels: &[f32],
        [room, latents]: [Option<&mut [f32]>; 2],
    ) -> [f32; L] {
        let Workspace { activations, batched, .. } = workspace;
        batched.resize_with(activations.len(), Vec::new);
        for (batched, one) in batched.iter_mut().zip(activations) {
            batched.resize(one.len() * L, 0.0);
        }
        let [first, second] = self.ends;
        let len = self.image_len();
        self.layers[0].input.fill::<L>(&mut batched[0], pixels);
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = batched.split_at_mut(index + 1);
            layer.run_image_per_lane(simd, S::as_simd_f32s(&before[index]).0, S::as_mut_simd_f32s(&mut after[0]).0);
            if self.plan.unit_rms() && (index + 1 == first || index + 1 == self.layers.len()) {
                unit_rms::<L>(&mut after[0]);
            }
        }
        if let Some(room) = room {
            for (lane, room) in room.chunks_exact_mut(len).enumerate() {
                self.layers[second].input.take(&batched[second], room, [lane, L]);
            }
        }
        if let Some(latents) = latents {
            for (lane, latents) in latents.chunks_exact_mut(self.latents()).enumerate() {
                self.layers[first].input.take(&batched[first], latents, [lane, L]);
            }
        }
        distance(&batched[first], &batched[self.layers.len()])
    }
}

/// Does work in vectors of 8 numbers at most: a small network's layers fill no longer ones.
fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    return match pulp::x86::V3::try_new() {
        Some(v3) => Simd::vectorize(v3, op),
        None => Simd::vectorize(pulp::Scalar::new(), op),
    };
    #[cfg(not(target_arch = "x86_64"))]
    pulp::Arch::new().dispatch(op)
}

/// Images to be scored.
struct Call<'a> {
    scorer: &'a CpuScorer,
    workspace: &'a mut Workspace,
    pixels: &'a [f32],
    room: Option<&'a mut [f32]>,
    latents: Option<&'a mut [f32]>,
    scores: &'a mut [f32],
}

/// A call of [`CpuScorer::one`], compiled for each kind of processor.
struct One<'a>(Call<'a>);
/// A call of [`CpuScorer::image_per_lane`], likewise.
struct ImagePerLane<'a>(Call<'a>);
/// Numbers of a vector.
struct Lanes;

impl WithSimd for One<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Call { scorer, workspace, pixels, room, latents, scores } = self.0;
        scores[0] = scorer.one(simd, workspace, pixels, [room, latents]);
    }
}

impl WithSimd for ImagePerLane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Call { scorer, workspace, pixels, room, latents, scores } = self.0;
        let rooms = [room, latents];
        match S::F32_LANES {
            8 => scores.copy_from_slice(&scorer.image_per_lane::<S, 8>(simd, workspace, pixels, rooms)),
            4 => scores.copy_from_slice(&scorer.image_per_lane::<S, 4>(simd, workspace, pixels, rooms)),
            lanes => unreachable!("vectors of {lanes} numbers"),
        }
    }
}

impl WithSimd for Lanes {
    type Output = usize;

    /// Others than 4 and 8 are taken for one, with which nothing is to be won.
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        if [4, 8].contains(&S::F32_LANES) { S::F32_LANES } else { 1 }
    }
}

/// Sums in this many parts, so that they are vectorised, always in the same order.
const PARTS: usize = 16;

/// Scales each of `L` images, one per lane, to a root mean square of one.
#[inline(always)]
fn unit_rms<const L: usize>(x: &mut [f32]) {
    let (numbers, _) = x.as_chunks_mut::<L>();
    let count = numbers.len() as f32;
    let scales = squares(numbers.iter().copied()).map(|sum| count.sqrt() / sum.sqrt().max(MIN_NORM));
    numbers.iter_mut().for_each(|v| *v = array::from_fn(|lane| v[lane] * scales[lane]));
}

/// Euclidean distance of each of `L` images, one per lane.
#[inline(always)]
fn distance<const L: usize>(a: &[f32], b: &[f32]) -> [f32; L] {
    let pairs = a.as_chunks::<L>().0.iter().zip(b.as_chunks::<L>().0);
    squares(pairs.map(|(a, b)| array::from_fn(|lane| a[lane] - b[lane]))).map(f32::sqrt)
}

#[inline(always)]
fn squares<const L: usize>(values: impl Iterator<Item = [f32; L]>) -> [f32; L] {
    let mut parts = [[0.0; L]; PARTS];
    for (index, v) in values.enumerate() {
        let part = &mut parts[index % PARTS];
        *part = array::from_fn(|lane| part[lane] + v[lane] * v[lane]);
    }
    array::from_fn(|lane| parts.iter().map(|part| part[lane]).sum())
}
