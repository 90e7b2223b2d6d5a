"""Training, as a scikit-learn estimator."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

import numpy as np

try:
    from sklearn.base import BaseEstimator, OutlierMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover
    raise ImportError("OneClassDetector needs scikit-learn: pip install 'pkdgan[sklearn]'") from error

from . import _pkdgan
from .adapters import quieten_driver
from .detector import Detector
from .images import Images, Pixels, arrays_of, is_path, opaque
from .settings import toml_value

__all__ = ["OneClassDetector"]

#: What a callback is told: ``phase``, ``done``, ``total`` and ``losses`` by name.
Progress = Dict[str, Any]


class OneClassDetector(OutlierMixin, BaseEstimator):
    """Learns from normal images and finds the ones that are not: a scikit-learn estimator.

    ``fit`` trains a teacher, and a small student by distillation, as ``pkdgan train --images`` does. ``X`` is what
    :class:`Detector` takes, 20 images at least; some hundreds are good. A fifth of them is held out of training to set the
    threshold.

    Parameters
    ----------
    stage : {"all", "teacher", "student"}
        What is trained: a student distilled from a teacher, a teacher alone, or a student without a teacher.
    side : int
        Side of the networks' square images: 32, 64 or 128.
    recipe : {"default", "paper"}
        Settings that work together.
    settings : dict or None
        Single settings by name, such as ``{"training.steps": 300}``: those of ``pkdgan train --set``. docs/run-folder.md
        lists them.
    random_state : int
        Seed of initial weights and of the order of images. The same seed gives the same bytes.
    alpha : float or None
        The rate of false alarms of ``predict`` and ``decision_function``. None for 0.01, or for the smallest that the
        held-out images can promise if that is larger.
    device : {"auto", "gpu", "cpu"}
        What to train on. ``auto`` takes the faster of GPU and CPU.
    adapter : str, int or None
        Which GPU to train on: a part of its name, or its place in :func:`pkdgan.adapters`.
    path, threads
        How to score; see :meth:`Detector.load`.
    run_folder : path or None
        Where the run's files stay, and where training that was stopped goes on. None for a folder that is removed.
    callback : callable or None
        Called with a dict as training goes on: ``phase`` (text), ``done`` and ``total`` (numbers, 0 if not known), and
        ``losses`` (dict). An exception that it raises stops training.

    Attributes
    ----------
    detector_ : Detector
        The trained model.
    seconds_ : float
        How long training took.
    skipped_ : list of str
        The files that could not be used, with the reason.

    >>> import numpy as np
    >>> import pkdgan
    >>> X = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    >>> quick = {"training.steps": 4, "distillation.step1.steps": 4, "distillation.step2.steps": 0}
    >>> model = pkdgan.OneClassDetector(settings=quick, device="cpu").fit(X)
    >>> model.predict(X).shape
    (40,)
    """

    def __init__(
        self,
        *,
        stage: str = "all",
        side: int = 32,
        recipe: str = "default",
        settings: Optional[Mapping[str, Any]] = None,
        random_state: int = 0,
        alpha: Optional[float] = None,
        device: str = "auto",
        adapter: Optional[Union[str, int]] = None,
        path: str = "auto",
        threads: Optional[int] = None,
        run_folder: Optional[Union[str, "os.PathLike[str]"]] = None,
        callback: Optional[Callable[[Progress], Any]] = None,
    ) -> None:
        self.stage = stage
        self.side = side
        self.recipe = recipe
        self.settings = settings
        self.random_state = random_state
        self.alpha = alpha
        self.device = device
        self.adapter = adapter
        self.path = path
        self.threads = threads
        self.run_folder = run_folder
        self.callback = callback

    def fit(self, X: Union[Images, str, "os.PathLike[str]"], y: Any = None) -> "OneClassDetector":
        """Trains on normal images. ``X`` may also be the path of a folder of pictures. ``y`` is ignored.

        Ctrl-C stops soon after and raises KeyboardInterrupt. With a ``run_folder`` another ``fit`` goes on from there.
        """
        if not isinstance(self.random_state, (int, np.integer)) or isinstance(self.random_state, bool):
            raise TypeError(f"random_state is {self.random_state!r}; give a number, so that clones train alike")
        if self.device != "cpu":
            quieten_driver()
        with tempfile.TemporaryDirectory(prefix="pkdgan-") as made:
            if is_path(X):
                pictures = Path(os.fspath(X))
            else:
                pictures = Path(made, "pictures")
                pictures.mkdir()
                _write(self._images(X), pictures)
            run = Path(made, "run") if self.run_folder is None else Path(os.fspath(self.run_folder))
            settings = {
                "data.images.folder": str(pictures),
                "data.side": self.side,
                "training.seed": int(self.random_state),
                **(self.settings or {}),
            }
            sets = [f"{key}={toml_value(value)}" for key, value in settings.items()]
            adapter = None if self.adapter is None else str(self.adapter)
            model, _, seconds, skipped = _pkdgan.train(
                pictures, run, self.recipe, self.stage, sets, self.device, adapter, self.callback
            )
            model_bytes = Path(model).read_bytes()
        # Set at the end, so that what stops leaves the estimator as it was.
        self.detector_ = Detector.from_bytes(model_bytes, path=self.path, threads=self.threads, name="the trained model")
        self.seconds_ = seconds
        self.skipped_ = skipped
        return self

    def score_samples(self, X: Images) -> np.ndarray:
        """Anomaly scores. **Higher is more anomalous**: those of :meth:`Detector.score_samples`, as float64."""
        return self._fitted().score_samples(self._images(X)).astype(np.float64)

    def decision_function(self, X: Images) -> np.ndarray:
        """The threshold minus the score: below 0 is anomalous, as scikit-learn has it."""
        return self._fitted().decision_function(self._images(X), self.alpha)

    def predict(self, X: Images) -> np.ndarray:
        """+1 for normal images, -1 for anomalous ones."""
        return self._fitted().predict(self._images(X), self.alpha)

    def p_values(self, X: Images) -> np.ndarray:
        """P-values; see :meth:`Detector.p_values`."""
        return self._fitted().p_values(self._images(X))

    def reconstruct(self, X: Images) -> np.ndarray:
        """What the network makes of images; see :meth:`Detector.reconstruct`."""
        return self._fitted().reconstruct(self._images(X))

    def latents(self, X: Images) -> np.ndarray:
        """Latent vectors; see :meth:`Detector.latents`."""
        return self._fitted().latents(self._images(X))

    def _images(self, X: Any) -> Images:
        """What is trained on and scored of ``X``; for classes that take something else."""
        return X

    def _fitted(self) -> Detector:
        check_is_fitted(self)
        return self.detector_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _write(X: Images, folder: Path) -> None:
    """Each image as a file, in order."""
    given: List[Any] = list(arrays_of(X))
    place = 0
    for item in given:
        if isinstance(item, Path):
            # The bytes as they are, under a name that keeps the order. Its ending says nothing: contents do.
            shutil.copyfile(item, folder / f"{place:08}{item.suffix}")
            place += 1
            continue
        if isinstance(item, bytes):
            (folder / f"{place:08}.picture").write_bytes(item)
            place += 1
            continue
        for image in _netpbm(item):
            (folder / f"{place:08}.pnm").write_bytes(image)
            place += 1


def _netpbm(pixels: Pixels) -> Any:
    """Each image of an array as a PGM or PPM file."""
    values, wide = pixels
    for image in values:
        if wide:
            deep = image.view(np.uint16)[..., 0]
            yield b"P5 %d %d 65535\n" % (deep.shape[1], deep.shape[0]) + deep.astype(">u2").tobytes()
            continue
        image = opaque(image)
        magic = b"P5" if image.shape[2] == 1 else b"P6"
        yield b"%s %d %d 255\n" % (magic, image.shape[1], image.shape[0]) + image.tobytes()
