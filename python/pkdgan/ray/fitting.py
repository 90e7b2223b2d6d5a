"""One detector for each of many folders, as Ray tasks."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .. import _pkdgan
from ..adapters import quieten_driver
from ..detector import Detector
from ..images import is_path
from ..settings import toml_value

__all__ = ["Fitted", "fit_many", "seed_of"]

Folder = Union[str, "os.PathLike[str]"]

#: Seconds before a task that failed ends, so that what it met may be over when it is tried again: a process of a lost
#: node lets go of its run folder a little after Ray has given the node up.
_PAUSE = 5.0
#: Seconds between two messages of a training, and between two looks at them.
_EVERY = 1.0


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What became of one folder.

    ``error`` is None where a detector was trained. Otherwise it says why not, and ``model`` and what follows are None.
    """

    name: str
    #: The seed that it trained with.
    seed: int
    #: The run folder.
    run: str
    #: The model file in it.
    model: Optional[str] = None
    #: Area under the ROC curve, where the folder has anomalous pictures to test with.
    auroc: Optional[float] = None
    #: How many held-out normal images set the threshold.
    calibration_images: Optional[int] = None
    #: Above this score :meth:`pkdgan.Detector.predict` calls images anomalous.
    threshold: Optional[float] = None
    #: How long training took, over all processes of the run.
    seconds: Optional[float] = None
    #: Files that could not be used, with the reason.
    skipped: Tuple[str, ...] = ()
    error: Optional[str] = None

    def as_dict(self) -> Dict[str, Any]:
        """As a dict, such as for JSON."""
        return dataclasses.asdict(self)


def seed_of(seed: int, name: str) -> int:
    """The seed of one of many trainings: the first four bytes, big-endian, of SHA-256 of ``SEED/NAME`` in UTF-8.

    It depends on nothing but the two, so other names, more of them or another order change no detector.

    >>> from pkdgan.ray import seed_of
    >>> seed_of(0, "bolt"), seed_of(0, "nut"), seed_of(1, "bolt")
    (1092260884, 235416320, 1997460503)
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big")


def fit_many(
    folders: Mapping[str, Folder],
    out: Folder,
    *,
    seed: int = 0,
    stage: str = "all",
    side: int = 32,
    recipe: str = "default",
    settings: Optional[Mapping[str, Any]] = None,
    device: str = "cpu",
    adapter: Optional[Union[str, int]] = None,
    cpus: int = 1,
    gpus: float = 0,
    retries: int = 3,
    callback: Optional[Callable[[Dict[str, Any]], Any]] = None,
) -> Dict[str, Fitted]:
    """Trains a detector for each of many folders of normal pictures: part numbers, cameras and the like.

    ``folders`` has a name for each folder. A folder that is laid out as ``train/good`` and ``test/KIND`` is tested too,
    as ``pkdgan train --images`` does it. ``out`` is where run folders go, one of each name. Every node must reach the
    folders and ``out`` under the same paths.

    ``stage``, ``side``, ``recipe``, ``settings``, ``device`` and ``adapter`` are those of
    :class:`pkdgan.OneClassDetector`. Each training has its own seed, ``seed_of(seed, name)``, and ``cpus`` threads. On
    CPUs of one kind the same seed gives the same bytes, however often a training was interrupted.

    A task holds ``cpus`` and ``gpus`` of its node. If its node dies, or a file or a device fails, it is tried again,
    ``retries`` times, and goes on from the last checkpoint in its run folder. The same call does so too: detectors that
    are done are taken as they are. What no other try can mend, such as a folder without pictures, is that name's
    ``error`` at once. The others go on.

    ``callback`` is called with a dict about once a second for each training that got on, and when one ends: ``name``,
    ``phase`` (text), ``done`` and ``total`` (numbers, 0 if not known). At the end ``phase`` is ``done`` or ``failed``,
    and ``result`` is the :class:`Fitted`. Ctrl-C, or an exception that it raises, stops all trainings.

    Raises ValueError and TypeError for names, folders and options that cannot be.
    """
    if not folders:
        raise ValueError("folders is empty; give at least one name with its folder")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed is {seed!r}; give a number, so that another call trains alike")
    if cpus < 1 or retries < 0:
        raise ValueError(f"cpus is {cpus} and retries is {retries}; give 1 or more cpus, and 0 or more retries")
    for name, folder in folders.items():
        if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\\0"):
            raise ValueError(f"{name!r} cannot be the name of a run folder; leave out slashes, and a dot in front")
        if not is_path(folder):
            raise TypeError(f"the folder of {name!r} is a {type(folder).__name__}; give a path")
    out = os.path.abspath(os.fspath(out))
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = _Board.options(num_cpus=0, scheduling_strategy=here).remote()
    task = _fit.options(
        num_cpus=cpus,
        num_gpus=gpus,
        max_retries=retries,
        retry_exceptions=[OSError, RuntimeError],
        scheduling_strategy="SPREAD",
        # A training takes so many threads, whatever its node has.
        runtime_env={"env_vars": {"RAYON_NUM_THREADS": str(cpus)}},
    )
    begun: Dict[Any, Fitted] = {}
    for name, folder in folders.items():
        plan = Fitted(name, seed_of(seed, name), os.path.join(out, name))
        given = {"data.side": side, **(settings or {}), "training.seed": plan.seed}
        pictures = os.path.abspath(os.fspath(folder))
        sets = [f"{key}={toml_value(value)}" for key, value in {"data.images.folder": pictures, **given}.items()]
        how = (recipe, stage, sets, device, None if adapter is None else str(adapter))
        begun[task.remote(plan, pictures, how, board)] = plan
    results: Dict[str, Fitted] = {}
    left = list(begun)
    try:
        while left:
            ended, left = ray.wait(left, num_returns=len(left), timeout=_EVERY)
            for event in ray.get(board.take.remote()) if callback else ():
                if event["name"] not in results:
                    callback(event)
            for reference in ended:
                plan = begun[reference]
                results[plan.name] = _result(reference, plan)
                if callback:
                    phase = "failed" if results[plan.name].error else "done"
                    callback(dict(name=plan.name, phase=phase, done=0, total=0, result=results[plan.name]))
    finally:
        for reference in left:
            ray.cancel(reference)
        ray.kill(board)
    return {name: results[name] for name in folders}


def _result(reference: Any, plan: Fitted) -> Fitted:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, BaseException) else error
        return dataclasses.replace(plan, error=str(cause))
    except ray.exceptions.RayError as error:
        return dataclasses.replace(plan, error=" ".join(str(error).split()))


@ray.remote
class _Board:
    """What trainings are doing, until somebody looks: the last of each."""

    def __init__(self) -> None:
        self.events: Dict[str, Dict[str, Any]] = {}

    def tell(self, event: Dict[str, Any]) -> None:
        self.events[event["name"]] = event

    def take(self) -> List[Dict[str, Any]]:
        events, self.events = list(self.events.values()), {}
        return events


@ray.remote
def _fit(plan: Fitted, pictures: str, how: Tuple[Any, ...], board: Any) -> Fitted:
    recipe, stage, sets, device, adapter = how
    told = 0.0

    def tell(progress: Dict[str, Any]) -> None:
        nonlocal told
        if time.monotonic() - told >= _EVERY:
            told = time.monotonic()
            board.tell.remote({"name": plan.name, **{key: progress[key] for key in ("phase", "done", "total")}})

    if device != "cpu":
        quieten_driver()
    try:
        model, auroc, seconds, skipped = _pkdgan.train(pictures, plan.run, recipe, stage, sets, device, adapter, tell)
        detector = Detector.load(model, path="cpu", threads=1)
    except (ValueError, TypeError, FileNotFoundError) as error:
        return dataclasses.replace(plan, error=str(error))
    except (OSError, RuntimeError):
        time.sleep(_PAUSE)
        raise
    scores = detector.calibration_scores
    return dataclasses.replace(
        plan,
        model=str(model),
        auroc=auroc,
        calibration_images=0 if scores is None else len(scores),
        threshold=None if scores is None else detector.threshold(),
        seconds=seconds,
        skipped=tuple(skipped),
    )
