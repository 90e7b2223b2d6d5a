//! Feeds the device: the bytes of the images of coming steps, what is done to them, and what a frozen teacher makes of
//! them. Nothing on the device grows with the number of images. It knows no network.

use super::error::TrainError;
use super::stage::Stage;
use super::step::TrainingStep;
use super::teacher_outputs::PrecomputedOutputs;
use super::transformations::Codes;
use crate::config::Config;
use crate::data::{Images, SampleOrder};
use crate::engine::Executor;

/// What the steps of a stage take, in their order.
pub(super) struct Feed {
    config: Config,
    stage: Stage,
    images: Images,
    /// The training images among them.
    indices: Vec<usize>,
    outputs: Option<PrecomputedOutputs>,
    /// The step that `order` and `codes` have come to.
    next: usize,
    order: SampleOrder,
    codes: Vec<Codes>,
    /// Room for the samples of a submission: their numbers among the training images, their bytes, their codes, and
    /// what the teacher makes of them.
    samples: Vec<u32>,
    bytes: Vec<u8>,
    numbers: Vec<f32>,
    made: [Vec<f32>; 3],
}

impl Feed {
    /// The feed of a stage from its first step. `indices` are those of the training images in `images`.
    pub(super) fn new(config: &Config, stage: Stage, step: &TrainingStep, images: &Images, indices: &[usize]) -> Self {
        Self {
            config: config.clone(),
            stage,
            images: images.clone(),
            indices: indices.to_vec(),
            outputs: None,
            next: 0,
            order: order(config, indices),
            codes: step.transformations.codes(config),
            samples: Vec::new(),
            bytes: Vec::new(),
            numbers: Vec::new(),
            made: Default::default(),
        }
    }

    /// Has the outputs of a frozen teacher for the training images from here on.
    pub(super) fn set_outputs(&mut self, outputs: PrecomputedOutputs) {
        self.outputs = Some(outputs);
    }

    /// Puts on the device what `steps` steps after `done` take. They are no more than the step's rings have slots.
    ///
    /// # Errors
    /// Unreadable images, and failures of the device.
    pub(super) fn feed(
        &mut self,
        executor: &mut dyn Executor,
        step: &TrainingStep,
        done: usize,
        steps: usize,
    ) -> Result<(), TrainError> {
        let batch = self.stage.budget(&self.config).batch_size;
        self.seek(step, done, batch);
        self.samples.clear();
        self.samples.extend(self.order.by_ref().take(steps * batch));
        self.next = done + steps;

        let side = self.config.data.side;
        let (size, slot) = (self.images.channels() * side * side, step.images.elements * size_of::<f32>());
        self.bytes.resize(steps * slot, 0);
        for (samples, slot) in self.samples.chunks(batch).zip(self.bytes.chunks_exact_mut(slot)) {
            for (&sample, square) in samples.iter().zip(slot.chunks_exact_mut(size)) {
                self.images.padded(self.indices[sample as usize], side, square)?;
            }
        }
        step.images.write_bytes(executor, done, &self.bytes)?;

        for codes in &mut self.codes {
            self.numbers.clear();
            self.numbers.extend(codes.by_ref().take(steps * batch));
            codes.ring.write(executor, done, &self.numbers)?;
        }
        if let (Some(rings), Some(outputs)) = (&step.teacher_outputs, &mut self.outputs) {
            outputs.read(&self.samples, &mut self.made)?;
            rings.write(executor, done, &self.made)?;
        }
        Ok(())
    }

    /// Goes to what step `done` takes: on from where it is, or from the start.
    fn seek(&mut self, step: &TrainingStep, done: usize, batch: usize) {
        if done < self.next {
            self.next = 0;
            self.order = order(&self.config, &self.indices);
            self.codes = step.transformations.codes(&self.config);
        }
        if let Some(last) = ((done - self.next) * batch).checked_sub(1) {
            self.order.nth(last);
            for codes in &mut self.codes {
                codes.nth(last);
            }
            self.next = done;
        }
    }
}

fn order(config: &Config, indices: &[usize]) -> SampleOrder {
    SampleOrder::new(config.training.seed, indices.len(), config.training.shuffle)
}
