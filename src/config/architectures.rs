//! From settings to the architectures of teacher and student, and to the preprocessing of their images.

use super::Config;
use crate::data::{Fit, Preprocessing, Range, Source};
use crate::model::{Architecture, EncoderLayer, Statistics};

impl Config {
    /// What the teacher is made from.
    pub fn teacher(&self) -> Architecture {
        Architecture {
            channels: self.preprocessing().channels,
            side: self.data.side,
            encoder: self.network.generator.iter().copied().map(EncoderLayer::half).collect(),
            latents: self.network.latents,
            latent_constraint: self.network.latent_constraint,
            discriminator: self.network.discriminator.clone(),
        }
    }

    /// Where batch norm takes its statistics from when a network scores that reports call so: `teacher`, `student-alone` and
    /// so on.
    pub(crate) fn statistics(&self, network: &str) -> Statistics {
        if network.starts_with("teacher") { self.scoring.statistics } else { self.student.statistics }
    }

    /// What the student is made from: layers of its own, the teacher's images and latents.
    pub fn student(&self) -> Architecture {
        Architecture {
            encoder: self.student.encoder.iter().copied().map(EncoderLayer::from).collect(),
            discriminator: self.student.discriminator.clone(),
            ..self.teacher()
        }
    }

    /// What is done to a picture before the networks: what makes it like the images of the data set.
    pub fn preprocessing(&self) -> Preprocessing {
        let side = self.data.side;
        let (channels, scaled, fit, range) = match self.data.dataset {
            Source::Published(dataset) => (dataset.channels(), dataset.side(), Fit::Pad, Range::Full),
            Source::Images => {
                let own = self.data.images.as_ref();
                let (colour, fit, range) = own.map(|own| (own.colour, own.fit, own.range)).unwrap_or_default();
                (colour.channels(), side, fit, range)
            }
        };
        Preprocessing { channels, height: scaled, width: scaled, side, fit, range }
    }
}
