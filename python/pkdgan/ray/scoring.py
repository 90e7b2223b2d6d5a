"""Scoring a Ray Dataset by a pool of actors."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset

from ..detector import Detector
from ..images import _pixels, is_path

__all__ = ["score"]

#: The columns that are written, before those that are kept.
COLUMNS = [
    ("path", pa.string()),
    ("score", pa.float32()),
    ("p_value", pa.float64()),
    ("verdict", pa.string()),
    ("error", pa.string()),
]
# Where images are looked for if no column is named: those that Ray's readers and Hugging Face's files have.
_USUAL = ("image", "bytes", "data", "path")


def score(
    dataset: Dataset,
    model: Union[str, "os.PathLike[str]", bytes, Detector],
    *,
    images: Optional[str] = None,
    keep: Sequence[str] = (),
    alpha: Optional[float] = None,
    threshold: Optional[float] = None,
    output: Optional[Union[str, "os.PathLike[str]"]] = None,
    batch_size: int = 256,
    actors: Optional[Union[int, Tuple[int, int]]] = None,
    cpus: float = 0,
    gpus: float = 0,
    memory: int = 256 << 20,
    threads: int = 1,
    path: str = "cpu",
) -> Dataset:
    """Scores the images of a Ray Dataset: a Dataset of one row for each of its rows.

    ``images`` names the column with the images. If None it is the first that there is of ``image``, ``bytes``, ``data``
    and ``path``. It holds

    - text: paths of picture files that every node can read,
    - binary: the bytes of picture files,
    - arrays of uint8, ``[H, W]`` or ``[H, W, C]``, of one size or of several, or
    - structs of ``bytes`` and ``path``, as Hugging Face writes them to Parquet.

    The rows are

    ========  =======  ==============================================================================
    path      string   the column ``path`` of the dataset or of the struct; null without one
    score     float32  that of :meth:`pkdgan.Detector.score_samples`, to the bit; higher is more anomalous
    p_value   float64  the share of held-out normal images that score as high; null if not calibrated
    verdict   string   ``normal`` or ``anomalous``
    error     string   why there is no score, for a damaged picture and the like; else null
    ========  =======  ==============================================================================

    and the columns of ``keep``, as they are. Ray gives rows in any order unless ``preserve_order`` is set in its
    DataContext.

    ``alpha`` and ``threshold`` are those of ``pkdgan score``: anomalous is what has a p-value of at most ``alpha``, or
    a score above ``threshold``. ``model`` is a model file, a run folder, the bytes of a model file, or a Detector. Its
    bytes go to each actor once.

    ``output`` is a folder for Parquet files, new or empty. With it the work is done before this returns, and the
    Dataset reads them. Without it nothing is done before the Dataset is consumed.

    ``actors`` is how many score, or the least and the most; None for one a CPU of the cluster, or one a GPU if ``gpus``
    is given. ``cpus``, ``gpus`` and ``memory`` (bytes) are what each holds of its node, ``threads`` how many threads it
    uses. By default they hold no CPU, as other actors of Ray: so tasks that read the dataset always find one. ``path``
    is that of :meth:`pkdgan.Detector.load`. All actors use the same, so that every row has the numbers of the same
    path. Graphics drivers know nothing of Ray's shares: on a node with several GPUs, every actor takes the same one.

    Memory is bounded. Ray holds back what reads while actors are busy, an actor works on ``batch_size`` rows at a time,
    and no rows go through this process. A node that dies costs time: its rows are made anew elsewhere.

    Raises ValueError and TypeError for options that cannot be, and FileExistsError for an ``output`` that has files. An
    array of another type than uint8 fails the job with a TypeError.
    """
    detector = _loaded(model)
    calibrated = detector.calibration_scores is not None
    if threshold is not None and alpha is not None:
        raise ValueError("alpha and threshold are two rules for verdicts; give one of them")
    if threshold is None and (calibrated or alpha is not None):
        detector.threshold(alpha)  # raises if the calibration cannot promise it
    if batch_size < 1 or threads < 1:
        raise ValueError(f"batch_size is {batch_size} and threads is {threads}; give 1 or more")
    names = dataset.schema(fetch_if_missing=False)
    if names is not None:
        _column(names.names, images, keep)
    if output is not None:
        output = os.fspath(output)
        if "://" not in output:
            output = os.path.abspath(output)
            if os.path.isdir(output) and os.listdir(output):
                raise FileExistsError(f"{output}: has files already; name a new folder, or remove it")
    if actors is None:
        there = ray.cluster_resources()
        actors = max(1, int(there.get("GPU", 0) / gpus if gpus else there.get("CPU", 1)))
    pool = dict(size=actors) if isinstance(actors, int) else dict(min_size=actors[0], max_size=actors[1])
    rows = dataset.map_batches(
        _Scorer,
        fn_constructor_kwargs=dict(
            model=ray.put(detector.model_bytes),
            options=dict(score=detector.score_kind, path=path, threads=threads),
            rule=(alpha, threshold),
            images=images,
            keep=tuple(keep),
        ),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(max_tasks_in_flight_per_actor=2, **pool),
        num_cpus=cpus,
        num_gpus=gpus or None,
        # It also spreads them: actors that hold nothing at all would lie on one node, all of them.
        memory=memory,
    )
    if output is None:
        return rows
    # Writing is cheap, and must go on where actors hold every CPU. It needs no more processes than there are actors.
    most = actors if isinstance(actors, int) else actors[1]
    rows.write_parquet(output, ray_remote_args={"num_cpus": 0}, concurrency=most)
    return ray.data.read_parquet(output)


def _loaded(model: Any) -> Detector:
    if isinstance(model, Detector):
        return model
    if isinstance(model, (bytes, bytearray, memoryview)):
        return Detector.from_bytes(model, path="cpu", threads=1)
    if not is_path(model):
        raise TypeError(f"the model is a {type(model).__name__}; give a path, the bytes of a model file, or a Detector")
    return Detector.load(model, path="cpu", threads=1)


def _column(names: Sequence[str], images: Optional[str], keep: Sequence[str]) -> str:
    """The column with the images."""
    there = ", ".join(names)
    for name in keep:
        if name not in names:
            raise ValueError(f"keep names the column {name!r}; the dataset has {there}")
        if name in dict(COLUMNS):
            raise ValueError(f"keep names the column {name!r}, which the rows have anyway; leave it out or rename it")
    if images is not None:
        if images not in names:
            raise ValueError(f"images names the column {images!r}; the dataset has {there}")
        return images
    for name in _USUAL:
        if name in names:
            return name
    raise ValueError(f"the dataset has the columns {there}; name the one with the images: images={names[0]!r}")


class _Scorer:
    """What an actor does: it loads the model once, and makes rows of batches."""

    def __init__(
        self,
        model: Any,
        options: Dict[str, Any],
        rule: Tuple[Optional[float], Optional[float]],
        images: Optional[str],
        keep: Tuple[str, ...],
    ) -> None:
        model = ray.get(model) if isinstance(model, ray.ObjectRef) else model
        self.detector = Detector.from_bytes(model, **options)
        self.alpha, self.threshold = rule
        self.calibrated = self.detector.calibration_scores is not None
        if self.threshold is None and self.calibrated:
            self.alpha = self.detector._raw.threshold(self.alpha)[1]
        self.images, self.keep = images, keep

    def __call__(self, batch: pa.Table) -> pa.Table:
        column = batch[_column(batch.column_names, self.images, self.keep)].combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # pragma: no cover - Arrow keeps several chunks of more than 2 GiB
            column = pa.concat_arrays(column.chunks)
        paths: List[Optional[str]] = [None] * len(batch)
        if pa.types.is_struct(column.type):
            if "path" in [field.name for field in column.type]:
                paths = column.field("path").to_pylist()
            column = column.field("bytes")
        if "path" in batch.column_names:
            paths = batch["path"].to_pylist()
        scores, errors = self._score(column)
        # Pictures in memory are called by their place in the batch, which says nothing to anybody else.
        for place, error in errors.items():
            errors[place] = error.split(": ", 1)[-1] if error.startswith("X#") else error
        return self._rows(batch, paths, scores, errors)

    def _score(self, column: pa.Array) -> Tuple[np.ndarray, Dict[int, str]]:
        """Scores, and for each place without one the reason."""
        kind = column.type
        scores = np.full(len(column), np.nan, np.float32)
        errors: Dict[int, str] = {}
        if not len(column):
            return scores, errors
        if isinstance(kind, pa.BaseExtensionType):
            if column.null_count == 0 and hasattr(column, "to_numpy_ndarray"):
                values = column.to_numpy_ndarray()
            else:
                values = column.to_numpy(zero_copy_only=False)
            if values.dtype != object:
                items: Any = [(_pixels(values), False)]
                found, faults = self.detector._raw.score_each_array(items)
                return found, {place: str(fault) for place, fault in faults}
            items = list(values)
        elif _is_text(kind) or _is_binary(kind):
            items = column.to_pylist()
        elif pa.types.is_null(kind):
            items = [None] * len(column)
        else:
            raise TypeError(f"the images are of type {kind}; give paths, bytes of picture files, or arrays of uint8")
        places, given = [], []
        for place, item in enumerate(items):
            try:
                if item is None:
                    raise ValueError("there is no image: null")
                pixels = isinstance(kind, pa.BaseExtensionType)
                given.append((_pixels(np.asarray(item)[None]), False) if pixels else item)
                places.append(place)
            except (TypeError, ValueError) as error:
                errors[place] = str(error)
        if given:
            raw = self.detector._raw
            each = raw.score_each_file if _is_text(kind) else raw.score_each_encoded
            found, faults = (raw.score_each_array if isinstance(given[0], tuple) else each)(given)
            scores[places] = found
            errors.update((places[place], str(fault)) for place, fault in faults)
        return scores, errors

    def _rows(
        self, batch: pa.Table, paths: Sequence[Optional[str]], scores: np.ndarray, errors: Dict[int, str]
    ) -> pa.Table:
        missing = np.isnan(scores)
        p_values = np.full(len(scores), np.nan)
        if self.calibrated:
            p_values[~missing] = self.detector._raw.p_values(scores[~missing])
        unjudged = missing
        if self.threshold is not None:
            anomalous = scores > np.float32(self.threshold)
        elif self.calibrated:
            anomalous = p_values <= self.alpha
        else:
            anomalous, unjudged = missing, np.ones_like(missing)
        columns = [
            pa.array(paths, pa.string()),
            pa.array(scores, pa.float32(), mask=missing),
            pa.array(p_values, pa.float64(), mask=np.isnan(p_values)),
            pa.array(np.where(anomalous, "anomalous", "normal").astype(object), pa.string(), mask=unjudged),
            pa.array([errors.get(place) for place in range(len(scores))], pa.string()),
        ]
        named = [name for name, _ in COLUMNS] + list(self.keep)
        return pa.table(columns + [batch[name] for name in self.keep], names=named)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(is_kind(kind) for is_kind in kinds)
