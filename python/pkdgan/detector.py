"""Scoring with a trained model."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np

from . import _pkdgan
from .adapters import quieten_driver
from .images import Images, arrays_of, is_path

__all__ = ["Detector"]


class Detector:
    """A trained model, ready to score.

    Make one with :meth:`load`. ``X`` is everywhere

    - an array of uint8, ``[N, H, W]`` or ``[N, H, W, C]`` with 1, 3 or 4 channels (brightness; red, green, blue; and
      opacity),
    - a list of paths of picture files, which are read as they are scored,
    - a list of the bytes of picture files, or
    - a list of Pillow's images, of any size.

    Images of any size are scaled to what the network takes, as ``pkdgan score`` does it. On the same path the scores
    are the same to the bit. Python's lock is released meanwhile, and ctrl-C stops. An array in C order is not copied.

    >>> import numpy as np
    >>> import pkdgan
    >>> detector = pkdgan.Detector.load(MODEL, path="cpu")
    >>> X = np.zeros((2, 28, 28), dtype=np.uint8)
    >>> scores = detector.score_samples(X)         # higher is more anomalous
    >>> scores.dtype, scores.shape
    (dtype('float32'), (2,))
    >>> detector.predict(X, alpha=0.01)            # +1 normal, -1 anomalous
    array([-1, -1])
    """

    def __init__(self, raw: Any, asked: str = "auto") -> None:
        if not isinstance(raw, _pkdgan.RawDetector):
            raise TypeError("a Detector is made by Detector.load(path)")
        self._raw = raw
        self._asked = asked

    @classmethod
    def load(
        cls,
        model: Union[str, "os.PathLike[str]"],
        *,
        score: str = "default",
        path: str = "auto",
        adapter: Optional[Union[str, int]] = None,
        threads: Optional[int] = None,
    ) -> "Detector":
        """Reads a model file, or that of a run folder.

        ``score`` says what images are scored by: ``latent``, ``reconstruction``, ``neighbour``, ``features``, ``combined``,
        ``auto`` for the one that told painted defects best when the model was trained, or ``default`` for the one that it
        was trained with.

        ``path`` says how the network is run: ``cpu``, ``fused-f32``, ``fused-f16`` (scores differ by up to 1 %),
        ``op-by-op``, or ``auto`` for the fastest in single precision, found out here. ``adapter`` is a part of an
        adapter's name, or its place in :func:`pkdgan.adapters`. ``threads`` is how many decode and score; one a core if
        None.

        Raises FileNotFoundError or another OSError if the file cannot be read, ValueError if it is no model, does not
        suit the path or has no such score, and :class:`pkdgan.DeviceError` if there is no such adapter.

        >>> import pkdgan
        >>> pkdgan.Detector.load("missing.safetensors")
        Traceback (most recent call last):
            ...
        FileNotFoundError: missing.safetensors: cannot be read: ...
        """
        if not is_path(model):
            raise TypeError(f"the model is a {type(model).__name__}; give the path of a file or of a run folder")
        score, path, adapter, threads = _options(score, path, adapter, threads)
        return cls(_pkdgan.RawDetector.load(os.fspath(model), score, path, adapter, threads), path)

    @classmethod
    def from_bytes(
        cls,
        model: bytes,
        *,
        score: str = "default",
        path: str = "auto",
        adapter: Optional[Union[str, int]] = None,
        threads: Optional[int] = None,
        name: str = "the model",
    ) -> "Detector":
        """Takes the bytes of a model file (:attr:`model_bytes`), with the options of :meth:`load`.

        ``name`` is what errors call it.
        """
        if not isinstance(model, (bytes, bytearray, memoryview)):
            raise TypeError(f"the model is a {type(model).__name__}; give the bytes of a model file")
        score, path, adapter, threads = _options(score, path, adapter, threads)
        return cls(_pkdgan.RawDetector.from_bytes(bytes(model), name, score, path, adapter, threads), path)

    def score_samples(self, X: Images) -> np.ndarray:
        """Anomaly scores, float32 ``[N]``. **Higher is more anomalous**: scikit-learn's own detectors have it the other way.

        A picture that cannot be scored raises: ValueError, or OSError where the file cannot be read.
        """
        return self._run(X)[0]

    def score_each(self, X: Images) -> Tuple[np.ndarray, Dict[int, Exception]]:
        """Scores of those pictures that have one, and why the others have none.

        The scores are those of :meth:`score_samples`, float32 ``[N]``, with NaN where a picture cannot be read, is
        damaged or gets no finite score. The dict has the exception of each of these by its place. What is wrong with
        all of ``X`` raises.

        >>> import pkdgan
        >>> detector = pkdgan.Detector.load(MODEL, path="cpu")
        >>> scores, errors = detector.score_each([b"P5 1 1 255 \\x80", b"no picture"])
        >>> scores.shape, list(errors)
        ((2,), [1])
        """
        given = arrays_of(X)
        if isinstance(given[0], tuple):
            scores, faults = self._raw.score_each_array(given)
        elif isinstance(given[0], bytes):
            scores, faults = self._raw.score_each_encoded(given)
        else:
            scores, faults = self._raw.score_each_file(given)
        return scores, dict(faults)

    def decision_function(self, X: Images, alpha: Optional[float] = None) -> np.ndarray:
        """The threshold minus the score, float64 ``[N]``: scikit-learn's sign, so that below 0 is anomalous.

        ``alpha`` is the rate of false alarms; see :meth:`predict`.
        """
        threshold, _ = self._raw.threshold(alpha)
        return threshold - self.score_samples(X).astype(np.float64)

    def p_values(self, X: Images) -> np.ndarray:
        """P-values, float64 ``[N]``: the share of held-out normal images that score at least as high.

        Raises ValueError if the model is not calibrated.
        """
        self._raw.threshold(None)
        return self._raw.p_values(self.score_samples(X))

    def predict(self, X: Images, alpha: Optional[float] = None) -> np.ndarray:
        """+1 for normal images and -1 for anomalous ones, those whose p-value is at most ``alpha``: int64 ``[N]``.

        Of normal images at most the share ``alpha`` is called anomalous. None stands for 0.01, or for the smallest rate
        that the model can promise if that is larger.
        """
        _, alpha = self._raw.threshold(alpha)
        return np.where(self.p_values(X) <= alpha, -1, 1)

    def reconstruct(self, X: Images) -> np.ndarray:
        """What the network makes of images, in their values: float32, 0 to 255.

        ``[N, H, W]`` of a network of brightness, ``[N, H, W, 3]`` of one of colours. ``H`` and ``W`` are those that
        images are scaled to (:attr:`image_shape`).
        """
        channels, height, width, side = self._raw.image
        made = self._run(X, reconstructions=True)[1]
        top, left = (side - height) // 2, (side - width) // 2
        made = (made[:, :, top : top + height, left : left + width] + 1) * np.float32(127.5)
        return made[:, 0] if channels == 1 else np.ascontiguousarray(made.transpose(0, 2, 3, 1))

    def latents(self, X: Images) -> np.ndarray:
        """Latent vectors of images, float32 ``[N, latents]``: what the first encoder makes of them."""
        return self._run(X, latents=True)[2]

    def threshold(self, alpha: Optional[float] = None) -> float:
        """The score above which images are anomalous at this rate of false alarms; see :meth:`predict`."""
        return float(self._raw.threshold(alpha)[0])

    @property
    def image_shape(self) -> Tuple[int, ...]:
        """Height and width that images are scaled to, and 3 if the network sees colours."""
        channels, height, width, _ = self._raw.image
        return (height, width) if channels == 1 else (height, width, channels)

    @property
    def score_kind(self) -> str:
        """What images are scored by, such as ``combined``; see :meth:`load`."""
        return self._raw.score_kind

    @property
    def path(self) -> str:
        """The path that it scores on."""
        return self._raw.path

    @property
    def adapter(self) -> Optional[str]:
        """The name of the adapter that it scores on; None on the CPU path."""
        return self._raw.adapter

    @property
    def threads(self) -> int:
        """How many threads decode and score."""
        return self._raw.threads

    @property
    def calibration_scores(self) -> Optional[np.ndarray]:
        """Scores of held-out normal images, ascending; None if the model is not calibrated."""
        return self._raw.calibration_scores

    @property
    def model_bytes(self) -> bytes:
        """The model file."""
        return self._raw.model_bytes

    def _run(self, X: Images, reconstructions: bool = False, latents: bool = False) -> Tuple[Any, Any, Any]:
        given = arrays_of(X)
        if isinstance(given[0], tuple):
            return self._raw.score_arrays(given, reconstructions, latents)
        if isinstance(given[0], bytes):
            return self._raw.score_encoded(given, reconstructions, latents)
        return self._raw.score_files(given, reconstructions, latents)

    def __reduce__(self) -> Tuple[Any, ...]:
        # Another machine may have no such adapter, and other cores: only the path that was asked for goes along.
        return _unpickled, (self.model_bytes, str(self._raw.origin), self._asked, self.score_kind)

    def __repr__(self) -> str:
        return f"<pkdgan.Detector of {str(self._raw.origin)!r}, path {self.path}>"


def _unpickled(model: bytes, name: str, path: str, score: str = "default") -> Detector:
    return Detector.from_bytes(model, score=score, path=path, name=name)


def _options(score: Any, path: Any, adapter: Any, threads: Any) -> Tuple[str, str, Optional[str], Optional[int]]:
    if not isinstance(score, str):
        raise TypeError(f"score is a {type(score).__name__}; give default, auto or the name of a score")
    if not isinstance(path, str):
        raise TypeError(f"path is a {type(path).__name__}; give auto, cpu, fused-f32, fused-f16 or op-by-op")
    if adapter is not None and not isinstance(adapter, (str, int)):
        raise TypeError(f"adapter is a {type(adapter).__name__}; give a part of its name, or its place in adapters()")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)):
            raise TypeError(f"threads is a {type(threads).__name__}; give a number, or None for one a core")
        threads = int(threads)
        if threads < 1:
            raise ValueError(f"threads is {threads}; it must be 1 to 1024")
    if path == "cpu" and adapter is not None:
        raise ValueError("path='cpu' uses no adapter; leave one of both out")
    if path != "cpu":
        quieten_driver()
    return score, path, None if adapter is None else str(adapter), threads
