use super::Config;
use crate::model::{Architecture, Shrink};

impl Config {
    /// What the teacher is made from.
    pub fn teacher(&self) -> Architecture {
        Architecture {
            channels: self.data.dataset.channels(),
            side: self.data.side,
            encoder: self.network.generator.map(Shrink::half).into(),
            latents: self.network.latents,
            discriminator: self.network.discriminator,
        }
    }

    /// What the student is made from: layers of its own, the teacher's images and latents.
    pub fn student(&self) -> Architecture {
        Architecture {
            encoder: self.student.encoder.iter().copied().map(Shrink::from).collect(),
            discriminator: self.student.discriminator,
            ..self.teacher()
        }
    }
}
