//! Training stages, and scoring with what they leave.

mod answers;
mod checkpoint;
mod checkpoint_every;
mod distillation;
mod error;
mod evaluation;
mod finite;
mod gan;
mod glance;
mod latency;
mod losses;
mod model_file;
mod networks;
mod reconstruct;
mod score;
mod stage;
mod step;
mod traced;
mod trainer;

pub use answers::Answers;
pub use checkpoint::Checkpoint;
pub use checkpoint_every::{CheckpointEvery, NotAnInterval};
pub use error::TrainError;
pub use evaluation::{Evaluation, SCORED_AT_ONCE};
pub use glance::Glance;
pub use latency::scoring_latency;
pub use losses::{History, Losses};
pub use model_file::{Model, check_weights, load_weights, take_model};
pub use networks::Networks;
pub use reconstruct::{Reconstructions, reconstruct};
pub use score::{Scored, Scorer};
pub use stage::{Role, Stage};
pub use step::TrainingStep;
pub use traced::Traced;
pub use trainer::{Event, Outcome, Trainer};
