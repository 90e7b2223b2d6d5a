//! Training a teacher and scoring with it.

mod checkpoint;
mod error;
mod evaluation;
mod losses;
mod model_file;
mod score;
mod step;
mod teacher;

pub use error::TrainError;
pub use evaluation::Evaluation;
pub use losses::Losses;
pub use model_file::{load_model, save_model};
pub use score::{Scored, Scorer};
pub use step::TrainingStep;
pub use teacher::{Outcome, Teacher, register};
