"""One-class novelty detection: learn from normal images, find the ones that are not.

A trained model scores images. Higher is more anomalous.

>>> import numpy as np
>>> import pkdgan
>>> detector = pkdgan.Detector.load(MODEL)
>>> images = np.zeros((3, 28, 28), dtype=np.uint8)
>>> detector.score_samples(images).shape
(3,)

:class:`Detector` scores with a trained model. :class:`OneClassDetector` trains one; it is a scikit-learn estimator and
needs ``pip install pkdgan[sklearn]``. :class:`Graph` is the compute engine below. :func:`adapters` lists the GPUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from ._pkdgan import DeviceError, InternalError, __version__
from .adapters import adapters
from .detector import Detector
from .graph import Graph, Tensor

if TYPE_CHECKING:
    from .estimator import OneClassDetector

__all__ = [
    "Detector",
    "DeviceError",
    "Graph",
    "InternalError",
    "OneClassDetector",
    "Tensor",
    "__version__",
    "adapters",
]


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import, and who only scores does without it.
    if name == "OneClassDetector":
        from .estimator import OneClassDetector

        return OneClassDetector
    raise AttributeError(f"module 'pkdgan' has no attribute {name!r}")


def __dir__() -> List[str]:
    return __all__
