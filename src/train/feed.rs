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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Recipe, Structure};
    use crate::data::{Dataset, order};
    use crate::engine::{Cpu, Readback, Variables};
    use crate::train::Traced;

    /// Images of 28 x 28, all of whose pixels are their number.
    fn images(count: usize) -> Images {
        let pixels = (0..count).flat_map(|image| [image as u8; 28 * 28]).collect();
        Images::new(count, 1, 28, 28, pixels).unwrap()
    }

    /// The first pixel that is no margin of each image in the slot of a step.
    fn slot(cpu: &mut Cpu, step: &TrainingStep, number: usize) -> Vec<u8> {
        let ring = step.images;
        let all = cpu.read(&[Readback::Variable(ring.variable)]).unwrap().wait_one().unwrap();
        let slot = &all[number % ring.slots * ring.elements..][..ring.elements];
        bytemuck::cast_slice::<f32, u8>(slot).chunks_exact(32 * 32).map(|image| image[2 * 32 + 2]).collect()
    }

    #[test]
    fn each_step_finds_its_images_in_whatever_order_steps_are_asked_for() {
        let mut config = Recipe::Default.config(Dataset::Mnist);
        (config.training.batch_size, config.training.steps) = (3, 400);
        let indices = [40, 11, 12, 23, 34];
        let traced = Traced::new(&config, Stage::Teacher, indices.len()).unwrap();
        let mut cpu = Cpu::new();
        cpu.allocate(&traced.variables).unwrap();
        let mut feed = Feed::new(&config, Stage::Teacher, &traced.step, &images(50), &indices);
        let wanted = order(config.training.seed, indices.len(), 3 * 400, true);
        let wanted: Vec<u8> = wanted.into_iter().map(|sample| indices[sample as usize] as u8).collect();
        assert!(traced.step.images.slots < 300);
        // Forwards, past the end of the ring, back, on again with a gap.
        for (first, steps) in [(0, 4), (4, 252), (250, 30), (1, 2), (320, 1)] {
            feed.feed(&mut cpu, &traced.step, first, steps).unwrap();
            for step in first..first + steps {
                assert_eq!(slot(&mut cpu, &traced.step, step), wanted[3 * step..][..3], "step {step} of {first}");
            }
        }
    }

    #[test]
    fn nothing_on_the_device_grows_with_the_number_of_images() {
        let mut config = Recipe::Default.images(128);
        config.training.augmentation.mirror = true;
        config.distillation.step2.steps = 250;
        let numbers = |images: usize| -> Vec<(String, usize)> {
            let of = |variables: &Variables| {
                let named = |group| (variables.group_name(group).to_owned(), variables.group_len(group));
                variables.groups().map(named).collect::<Vec<_>>()
            };
            Stage::ALL.iter().flat_map(|&stage| of(&Traced::new(&config, stage, images).unwrap().variables)).collect()
        };
        let few = numbers(20);
        assert_eq!(few, numbers(10_000_000));
        // What is not the networks' and their optimizers', is in rings.
        let rings = few.iter().filter(|(name, _)| ["images", "transformations"].contains(&name.as_str()));
        let largest = rings.map(|(_, numbers)| numbers * size_of::<f32>()).max().unwrap();
        assert!((1 << 20..=64 << 20).contains(&largest), "{largest}");
    }

    #[test]
    fn a_teacher_that_made_too_much_for_a_disk_is_asked_in_each_step() {
        let mut config = Recipe::Default.images(128);
        config.distillation.step1.structure = Structure::Frozen;
        let precomputed = |images| Traced::new(&config, Stage::Step1, images).unwrap().step.teacher_outputs.is_some();
        assert_eq!([600, 10_000, 200_000].map(precomputed), [true, true, false]);
    }
}
