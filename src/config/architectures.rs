use super::Config;
use crate::data::{Fit, Preprocessing};
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

    /// What is done to a picture before the networks: what makes it like the images of the data set.
    pub fn preprocessing(&self) -> Preprocessing {
        let side = self.data.dataset.side();
        let (channels, fit) = (self.data.dataset.channels(), Fit::Pad);
        Preprocessing { channels, height: side, width: side, side: self.data.side, fit }
    }
}
