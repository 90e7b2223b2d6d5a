//! A trained model, ready to score.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread::available_parallelism;

use numpy::{PyArray1, PyReadonlyArray1};
use pkdgan::data::Preprocessing;
use pkdgan::model::{ModelFile, ScoreChoice, ScoreKind, UnknownScore};
use pkdgan::scoring::{Calibration, Choice, DetectorOptions, Scores, ScoringPath, StreamError};
use pkdgan::unstable::data::{MemoryBudget, Search};
use pkdgan::unstable::run::model_file;
use pkdgan::unstable::scoring::{Generator, Wanted};
use pkdgan::unstable::stream::{PictureSet, SharedDetector, Way, score_each, score_set};
use pyo3::exceptions::{PyBaseException, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::arrays::{Pixels, pixel_arrays, shaped};
use crate::detached::{keeps_threads, long, same_process, short};
use crate::errors::exception;
use crate::options::{gpu_options, scoring_path};

/// More images than any that a device could be too expensive for.
const MANY: usize = 1 << 20;
/// Images that take no longer than a thread takes to start.
const FEW: usize = 32;
/// Most threads that decode and score, as the command line has it.
const MAX_THREADS: usize = 1024;

/// The model, scoring by the kind of score of this name.
fn scored_by(model: ModelFile, score: &str) -> PyResult<ModelFile> {
    let choice: ScoreChoice = score.parse().map_err(|error: UnknownScore| PyValueError::new_err(error.to_string()))?;
    model.scored_by(choice).map_err(|error| exception(&error))
}

/// Scores, and for each picture without one its place and the exception.
type Each<'py> = (Bound<'py, PyArray1<f32>>, Vec<(usize, Py<PyBaseException>)>);

/// A trained model, ready to score: what `pkdgan.Detector` holds.
#[pyclass(frozen, module = "pkdgan._pkdgan")]
pub(crate) struct RawDetector {
    bytes: Vec<u8>,
    origin: PathBuf,
    detector: SharedDetector,
    choice: Choice,
    way: Way,
    calibration: Option<Calibration>,
    score: ScoreKind,
    latents: usize,
    threads: usize,
    /// Whether it scores on threads of its own that end with the call.
    alone: bool,
}

#[pymethods]
impl RawDetector {
    /// Reads a model file, or that of a run folder, to score by the kind of score of this name.
    #[staticmethod]
    fn load(
        py: Python<'_>,
        model: PathBuf,
        score: &str,
        path: &str,
        adapter: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let read = short(py, || {
            let file = model_file(&model).map_err(|error| exception(&error))?;
            pkdgan::unstable::model::read_with_bytes(&file).map_err(|error| exception(&error))
        })?;
        let (model, bytes) = read?;
        Self::new(py, scored_by(model, score)?, bytes, path, adapter, threads)
    }

    /// Takes the bytes of a model file; `origin` names it in errors.
    #[staticmethod]
    fn from_bytes(
        py: Python<'_>,
        bytes: Vec<u8>,
        origin: PathBuf,
        score: &str,
        path: &str,
        adapter: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let model = short(py, || ModelFile::from_bytes(&bytes, &origin))?.map_err(|error| exception(&error))?;
        Self::new(py, scored_by(model, score)?, bytes, path, adapter, threads)
    }

    /// Scores, and what else is wanted, of arrays of pictures.
    #[allow(clippy::type_complexity, reason = "a tuple of arrays")]
    fn score_arrays<'py>(
        &self,
        py: Python<'py>,
        arrays: Vec<Pixels<'py>>,
        reconstructions: bool,
        latents: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>)> {
        let pictures = pixel_arrays(&arrays)?;
        self.score(py, PictureSet::Arrays(&pictures), Wanted { reconstructions, latents })
    }

    /// The same of picture files.
    #[allow(clippy::type_complexity, reason = "a tuple of arrays")]
    fn score_files<'py>(
        &self,
        py: Python<'py>,
        files: Vec<PathBuf>,
        reconstructions: bool,
        latents: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>)> {
        self.score(py, PictureSet::Files(&files), Wanted { reconstructions, latents })
    }

    /// The same of the bytes of picture files.
    #[allow(clippy::type_complexity, reason = "a tuple of arrays")]
    fn score_encoded<'py>(
        &self,
        py: Python<'py>,
        files: Vec<PyBackedBytes>,
        reconstructions: bool,
        latents: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>)> {
        let files: Vec<&[u8]> = files.iter().map(|file| &**file).collect();
        self.score(py, PictureSet::Encoded(&files), Wanted { reconstructions, latents })
    }

    /// Scores of those pictures that have one, NaN of the others, and for each of these its place and the exception.
    fn score_each_array<'py>(&self, py: Python<'py>, arrays: Vec<Pixels<'py>>) -> PyResult<Each<'py>> {
        let pictures = pixel_arrays(&arrays)?;
        self.score_each(py, PictureSet::Arrays(&pictures))
    }

    /// The same of picture files.
    fn score_each_file<'py>(&self, py: Python<'py>, files: Vec<PathBuf>) -> PyResult<Each<'py>> {
        self.score_each(py, PictureSet::Files(&files))
    }

    /// The same of the bytes of picture files.
    fn score_each_encoded<'py>(&self, py: Python<'py>, files: Vec<PyBackedBytes>) -> PyResult<Each<'py>> {
        let files: Vec<&[u8]> = files.iter().map(|file| &**file).collect();
        self.score_each(py, PictureSet::Encoded(&files))
    }

    /// The p-value of each score.
    fn p_values<'py>(
        &self,
        py: Python<'py>,
        scores: PyReadonlyArray1<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let calibration = self.calibration()?;
        let p_values: Result<Vec<f64>, _> = scores.as_array().iter().map(|&score| calibration.p_value(score)).collect();
        Ok(PyArray1::from_vec(py, p_values.map_err(|error| exception(&error))?))
    }

    /// The score above which p-values are at most `alpha`, and that rate: the usual one where none is given.
    fn threshold(&self, alpha: Option<f64>) -> PyResult<(f32, f64)> {
        let calibration = self.calibration()?;
        let alpha = alpha.unwrap_or_else(|| calibration.default_alpha());
        Ok((calibration.threshold(alpha).map_err(|error| exception(&error))?, alpha))
    }

    /// The model file.
    #[getter]
    fn model_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    /// Where the model was read from.
    #[getter]
    fn origin(&self) -> &Path {
        &self.origin
    }

    /// What pictures are scored by.
    #[getter]
    fn score_kind(&self) -> &str {
        self.score.name()
    }

    /// The path that it scores on.
    #[getter]
    fn path(&self) -> &str {
        self.choice.path.name()
    }

    /// The adapter that it scores on, where it does.
    #[getter]
    fn adapter(&self) -> Option<String> {
        let adapter = self.choice.adapter.as_ref().filter(|_| self.path() != "cpu");
        adapter.map(|adapter| adapter.name.clone())
    }

    /// Threads that decode and score.
    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }

    /// Numbers of a latent vector.
    #[getter]
    fn latents(&self) -> usize {
        self.latents
    }

    /// Channels, height and width of pictures as the network sees them, and the side of its square images.
    #[getter]
    fn image(&self) -> (usize, usize, usize, usize) {
        let Preprocessing { channels, height, width, side, .. } = self.way.preprocessing;
        (channels, height, width, side)
    }

    /// Scores of held-out normal images, ascending; none where the model is not calibrated.
    #[getter]
    fn calibration_scores<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f32>>> {
        self.calibration.as_ref().map(|calibration| PyArray1::from_slice(py, calibration.scores()))
    }
}

impl RawDetector {
    fn new(
        py: Python<'_>,
        model: ModelFile,
        bytes: Vec<u8>,
        path: &str,
        adapter: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let threads = threads.unwrap_or_else(|| available_parallelism().map_or(1, Into::into));
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(PyValueError::new_err(format!("threads is {threads}; it must be 1 to {MAX_THREADS}")));
        }
        let asked = scoring_path(path)?;
        let generator = Generator::new(&model).map_err(|error| exception(&error))?;
        if asked != Some(ScoringPath::Cpu) || !generator.is_small() {
            same_process()?;
        }
        let options = DetectorOptions::default().path(asked).device(gpu_options(adapter)).images(MANY);
        let chosen = long(
            py,
            |_, _: &Sender<()>| SharedDetector::choose(&model, &[], &Search::default(), threads, options),
            |_, ()| Ok(()),
        )?;
        let (detector, choice) = chosen.map_err(|error| exception(&error))?;
        let alone = choice.path == ScoringPath::Cpu && generator.is_small();
        if !alone || !choice.timings.is_empty() {
            keeps_threads();
        }
        let memory = Arc::new(MemoryBudget::of_machine());
        Ok(Self {
            bytes,
            origin: model.weights.origin.clone(),
            detector,
            way: Way { preprocessing: model.preprocessing, lenient: false, memory },
            latents: model.architecture.latents,
            calibration: model.calibration,
            score: model.score,
            threads,
            alone,
            choice,
        })
    }

    #[allow(clippy::type_complexity, reason = "a tuple of arrays")]
    fn score<'py>(
        &self,
        py: Python<'py>,
        set: PictureSet<'_>,
        wanted: Wanted,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>)> {
        if !self.alone {
            same_process()?;
        }
        let count = set.count();
        let score = |stop: &AtomicBool| score_set(&set, &self.way, &self.detector, self.threads, wanted, stop);
        let few = count <= FEW && matches!(set, PictureSet::Arrays(_)) && self.path() == "cpu";
        let scored: Result<Option<Scores>, StreamError> = match few {
            true => short(py, || score(&AtomicBool::new(false)))?,
            false => long(py, |stop, _: &Sender<()>| score(stop), |_, ()| Ok(()))?,
        };
        // What is stopped has been raised.
        let Some(Scores { scores, reconstructions, latents }) = scored.map_err(|error| exception(&error))? else {
            return Err(PyValueError::new_err("stopped"));
        };
        let Preprocessing { channels, side, .. } = self.way.preprocessing;
        let images = reconstructions.map(|numbers| shaped(py, numbers, [count, channels, side, side])).transpose()?;
        let vectors = latents.map(|numbers| shaped(py, numbers, [count, self.latents])).transpose()?;
        Ok((PyArray1::from_vec(py, scores).into_any(), images.map(Bound::into_any), vectors.map(Bound::into_any)))
    }

    fn score_each<'py>(&self, py: Python<'py>, set: PictureSet<'_>) -> PyResult<Each<'py>> {
        if !self.alone {
            same_process()?;
        }
        let scored = long(
            py,
            |stop, _: &Sender<()>| score_each(&set, &self.way, &self.detector, self.threads, stop),
            |_, ()| Ok(()),
        )?;
        // What is stopped has been raised.
        let Some((scores, faults)) = scored.map_err(|error| exception(&error))? else {
            return Err(PyValueError::new_err("stopped"));
        };
        let faults = faults.iter().map(|(index, fault)| (*index, exception(fault).into_value(py))).collect();
        Ok((PyArray1::from_vec(py, scores), faults))
    }

    fn calibration(&self) -> PyResult<&Calibration> {
        self.calibration.as_ref().ok_or_else(|| {
            PyValueError::new_err("the model is not calibrated, so it has no p-values; compare scores with a threshold")
        })
    }
}
