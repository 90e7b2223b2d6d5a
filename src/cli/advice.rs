//! What to do about an error of the engine, in the command line's terms. The engine itself states facts only.

use std::error::Error;

use pkdgan::engine::EngineError;
use pkdgan::scoring::ScoringError;
use pkdgan::unstable::report::ReportError;
use pkdgan::unstable::reproduce::ReproduceError;
use pkdgan::unstable::stream::StreamError;
use pkdgan::unstable::train::TrainError;

/// The engine's failure behind an error, if there is one.
pub(super) fn engine_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a EngineError> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    // A transparent error passes on the causes of what it wraps, but not what it wraps.
    let wrapped: Option<&(dyn Error + 'static)> = match (
        error.downcast_ref::<TrainError>(),
        error.downcast_ref::<ScoringError>(),
        error.downcast_ref::<StreamError>(),
        error.downcast_ref::<ReportError>(),
        error.downcast_ref::<ReproduceError>(),
    ) {
        (Some(TrainError::Engine(error)), ..)
        | (_, Some(ScoringError::Engine(error)), ..)
        | (.., Some(ReproduceError::Engine(error))) => return Some(error),
        (_, Some(ScoringError::Model(error)), ..) | (_, _, _, Some(ReportError::Train(error)), _) => Some(&**error),
        (_, _, Some(StreamError::Scoring(error)), ..) => Some(&**error),
        _ => error.source(),
    };
    wrapped.and_then(engine_error)
}

/// What to do about a failure of the engine, if a person can do something.
pub(super) fn advice(error: &EngineError) -> Option<&'static str> {
    Some(match error {
        EngineError::NoAdapter { .. } => {
            "on Debian or Ubuntu, install a software Vulkan driver: apt-get install -y mesa-vulkan-drivers libvulkan1\n  \
             `pkdgan devices` lists the adapters; `--device cpu` runs without one"
        }
        EngineError::Limit { what, .. } | EngineError::OutOfMemory { what, .. } if is_schedule(what) => {
            "train for fewer steps: these are two numbers for each"
        }
        EngineError::Limit { .. } => {
            "use a smaller network or batch (`train --batch-size N`; of later stages `--set \
             distillation.step1.batch_size=N` and the like), or choose another adapter (`pkdgan devices`)"
        }
        EngineError::OutOfMemory { .. } => {
            "use a smaller network or batch, close what else uses the device, or choose another (`pkdgan devices`)"
        }
        EngineError::Kernel { .. } => "update the driver, or choose another adapter (`pkdgan devices`)",
        EngineError::Lost { .. } => "run it again; if it is lost again, choose another adapter (`pkdgan devices`)",
        EngineError::TimedOut { .. } => {
            "raise the time limit with --device-timeout SECONDS, or choose another adapter (`pkdgan devices`)"
        }
        EngineError::Device { .. } => {
            "run it again; if it fails again, update the driver or choose another adapter (`pkdgan devices`)"
        }
        _ => return None,
    })
}

/// Whether a buffer holds what each step looks up, so that its size goes by the number of steps.
fn is_schedule(what: &str) -> bool {
    what.starts_with("the variables `") && what.ends_with(".schedule`")
}

/// An error's text with what to do about it.
pub(super) fn with_advice(text: String, error: &(dyn Error + 'static)) -> String {
    match engine_error(error).and_then(advice) {
        Some(advice) => format!("{text}\n  {advice}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> EngineError {
        EngineError::Lost { during: "a run".into(), problem: "it is gone".into() }
    }

    #[test]
    fn every_failure_of_a_device_comes_with_advice() {
        let text = || "words".to_owned();
        let (what, op, problem, during) = (text(), text(), text(), text());
        for (error, part) in [
            (EngineError::NoAdapter { problem: text() }, "--device cpu"),
            (EngineError::Limit { what: text(), needed: text(), limit: text() }, "smaller network or batch"),
            (EngineError::OutOfMemory { what, problem: text() }, "smaller network or batch"),
            (EngineError::Kernel { op, shader: "adam".into(), problem }, "update the driver"),
            (lost(), "run it again"),
            (EngineError::TimedOut { during, seconds: 2.0 }, "--device-timeout"),
            (EngineError::Device { during: text(), problem: text() }, "update the driver"),
        ] {
            assert!(error.is_of_device());
            let said = advice(&error).unwrap();
            assert!(said.contains(part) && said.contains("`pkdgan devices`"), "{said}");
            // The engine itself gives none.
            assert!(!error.to_string().contains("pkdgan") && !error.to_string().contains("--device"), "{error}");
        }
    }

    #[test]
    fn the_engines_failure_is_found_behind_every_error_that_wraps_it() {
        let wrapped: [Box<dyn Error>; 6] = [
            Box::new(lost()),
            Box::new(TrainError::from(lost())),
            Box::new(ScoringError::from(TrainError::from(lost()))),
            Box::new(StreamError::Scoring(std::sync::Arc::new(ScoringError::from(lost())))),
            Box::new(ReportError::from(TrainError::from(lost()))),
            Box::new(ReproduceError::Cell {
                cell: "mnist 8".into(),
                source: ReportError::from(TrainError::from(lost())),
            }),
        ];
        for error in wrapped {
            let text = with_advice(error.to_string(), &*error);
            assert!(text.contains("it is gone") && text.contains("`pkdgan devices`"), "{text}");
        }
        let other = EngineError::Unreachable { name: "x".into() };
        assert_eq!(with_advice(other.to_string(), &other), other.to_string());
    }
}
