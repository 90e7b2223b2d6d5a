"""pkdgan on many machines, by Ray.

``pip install 'pkdgan[ray]'``, on every node the same version. Three functions, each of which is a command too
(``python -m pkdgan.ray --help``):

- :func:`score` maps a Ray Dataset of images to rows with score, p-value and verdict,
- :func:`fit_many` trains a detector for each of many folders,
- :func:`reproduce` runs the cells of a grid of ``pkdgan reproduce``.

They use the cluster that ``ray.init`` has connected to.
"""

from __future__ import annotations

try:
    import ray as _ray  # noqa: F401
    import ray.data as _data  # noqa: F401
except ImportError as error:  # pragma: no cover
    raise ImportError("pkdgan.ray needs Ray: pip install 'pkdgan[ray]'; Ray needs Python 3.10 or newer") from error

from .fitting import Fitted, fit_many, seed_of
from .grid import reproduce
from .scoring import score

__all__ = ["Fitted", "fit_many", "reproduce", "score", "seed_of"]
