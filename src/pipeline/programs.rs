//! The programs that a run is made of, for listing and tuning. It runs none.

use super::Plan;
use crate::config::Config;
use crate::engine::{EngineError, Executor, Program, Variables};
use crate::model::{EdeGan, ModelFile};
use crate::stream;
use crate::train::{FrozenTeacher, SCORED_AT_ONCE, Scorer, Traced};

/// Images that scoring takes at a time: one that is waited for, pictures of one's own, and a test set.
const SCORED: [usize; 3] = [1, stream::BATCH, SCORED_AT_ONCE];

/// The programs that make up a run: the training step of each stage, a frozen teacher's outputs, and scoring.
///
/// # Errors
/// Networks that cannot be trained.
pub fn programs(config: &Config) -> Result<Vec<Program>, EngineError> {
    let mut programs = Vec::new();
    for stage in Plan::new(config).stages {
        let Traced { networks, variables, step } = Traced::new(config, stage, 1)?;
        programs.push(Program::compile(&step.graph, &variables)?);
        if let (Some(_), Some(teacher)) = (step.teacher_outputs, &networks.teacher) {
            programs.push(FrozenTeacher::program(&variables, teacher, config.scoring.statistics)?);
        }
        let teacher = networks.teacher.iter().map(|gan| (gan, config.scoring.statistics));
        let student = networks.student.iter().map(|gan| (gan, config.student.statistics));
        for (gan, statistics) in teacher.chain(student) {
            for batch in SCORED {
                programs.push(Scorer::program(&variables, gan, statistics, batch)?);
            }
        }
    }
    Ok(programs)
}

/// Refuses networks and batches that need more than a device allows, before anything is written.
///
/// # Errors
/// Networks that cannot be trained, and [`EngineError::Limit`].
pub fn expect_room(config: &Config, executor: &dyn Executor) -> Result<(), EngineError> {
    programs(config)?.iter().try_for_each(|program| executor.expect_room(program))
}

/// The programs that score with a model.
///
/// # Errors
/// Networks that do not go together.
pub fn scoring_programs(model: &ModelFile) -> Result<Vec<Program>, EngineError> {
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "model", &model.architecture, model.norm_epsilon);
    SCORED.map(|batch| Scorer::program(&variables, &gan, model.statistics, batch)).into_iter().collect()
}
