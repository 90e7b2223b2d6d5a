"""The cells of a grid of `pkdgan reproduce`, as Ray tasks."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import ray

__all__ = ["reproduce"]

Folder = Union[str, "os.PathLike[str]"]

#: Flags that this module gives, or that have no part in it.
_OURS = ("--runs", "--results", "--shard", "--jobs", "--json", "--quiet", "-q", "--dry-run", "--status", "--progress")
#: Seconds before a task that failed ends: what held its cells, such as a process of a lost node, may be gone by then.
_PAUSE = 5.0


def reproduce(
    arguments: Sequence[str] = (),
    *,
    runs: Folder = "runs/reproduce",
    results: Folder = "results",
    program: Optional[Folder] = None,
    cpus: int = 1,
    gpus: float = 0,
    retries: int = 3,
    callback: Optional[Callable[[Dict[str, Any]], Any]] = None,
) -> List[Dict[str, Any]]:
    """Runs the grid of ``pkdgan reproduce ARGUMENTS``, spread over the cluster, and returns its rows.

    ``arguments`` are those of the command, such as ``["--classes", "2,5", "--seeds", "0-4"]``; ``pkdgan reproduce
    --help`` explains them. Relative paths in them are taken from the current folder, which every node must have.

    Each task runs the program ``pkdgan`` for one class and seed of a data set: the cells that start from one teacher,
    in their order. Run folders lie in ``runs``, tables in ``results``; every node must reach both under the same paths.
    A cell is done when its report is there. So if a node dies its cells go on elsewhere from their last checkpoints,
    ``retries`` times, and the same call goes on after any interruption. At the end the program writes the tables of the
    whole grid.

    ``program`` is where the program lies on every node; None for the one that each finds in PATH, or beside its Python.
    A task holds ``cpus`` and ``gpus`` of its node, and trains with so many threads.

    ``callback`` is called with a dict as a part of the grid ends: ``part`` (text), ``state`` (``done`` or ``failed``),
    ``done`` and ``total`` (parts that ended, and all). Ctrl-C, or an exception that it raises, stops all.

    The rows are those of ``pkdgan reproduce --json``: a dict for each network.

    Raises ValueError for arguments that the program refuses, FileNotFoundError where there is no program, and
    RuntimeError for parts that failed; the others are done then.
    """
    for argument in arguments:
        if str(argument).split("=")[0] in _OURS:
            said = "leave it out (folders are runs= and results=; Ray deals out the parts)"
            raise ValueError(f"{argument} is no argument of the grid; {said}")
    command = ["reproduce", *map(str, arguments), "--runs", os.path.abspath(os.fspath(runs))]
    command += ["--results", os.path.abspath(os.fspath(results)), "--json", "--quiet"]
    named = None if program is None else os.path.abspath(os.fspath(program))
    listed = subprocess.run([_program(named), *command, "--dry-run"], capture_output=True, text=True)
    if listed.returncode != 0:
        raise ValueError(listed.stderr.strip() or f"pkdgan reproduce ended with {listed.returncode}")
    # The program deals out the cells of one folder together, in the order of the list.
    parts: Dict[str, str] = {}
    for cell in json.loads(listed.stdout):
        parts.setdefault(os.path.dirname(cell["folder"]), cell["cell"].rsplit(",", 1)[0])
    task = _run.options(
        num_cpus=cpus, num_gpus=gpus, max_retries=retries, retry_exceptions=[RuntimeError], scheduling_strategy="SPREAD"
    )
    tell = callback or (lambda event: None)
    begun: Dict[Any, str] = {}
    for place, part in enumerate(parts.values()):
        shard = f"{place + 1}/{len(parts)}"
        begun[task.remote(named, [*command, "--shard", shard], os.getcwd(), cpus)] = part
    failed: List[str] = []
    done = 0
    left = list(begun)
    try:
        while left:
            ended, left = ray.wait(left, num_returns=1)
            for reference in ended:
                state = "done"
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as error:
                    state = "failed"
                    failed.append(f"{begun[reference]}: {getattr(error, 'cause', None) or error}")
                done += 1
                tell(dict(part=begun[reference], state=state, done=done, total=len(parts)))
    finally:
        for reference in left:
            ray.cancel(reference)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(parts)} parts failed: " + "; ".join(failed))
    # All cells are done: the program only writes the tables.
    return json.loads(_call(_program(named), command, os.getcwd(), cpus))


def _program(named: Optional[str]) -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "pkdgan")
    found = named if named is not None else shutil.which("pkdgan") or shutil.which(beside)
    if found is None or shutil.which(found) is None:
        where = "in PATH" if named is None else f"at {named}"
        raise FileNotFoundError(
            f"{os.uname().nodename}: there is no program pkdgan {where}; install it on every node "
            "(cargo install --path . in the source tree), or name it: program="
        )
    return found


def _dies_with_parent() -> Callable[[], None]:
    """What a child calls so that it stops when the thread that started it ends: a lost worker leaves no program."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    set_parent_death_signal = 1
    return lambda: prctl(set_parent_death_signal, signal.SIGTERM)


def _call(program: str, command: Sequence[str], folder: str, threads: int) -> str:
    """What the program prints. RuntimeError with its last words where it fails."""
    child = subprocess.Popen(
        [program, *command],
        cwd=folder,
        env={**os.environ, "RAYON_NUM_THREADS": str(threads)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_dies_with_parent(),
    )
    try:
        printed, said = child.communicate()
    except BaseException:
        # It saves its state and ends.
        child.terminate()
        child.wait()
        raise
    if child.returncode != 0:
        raise RuntimeError(" ".join(said.split()) or f"pkdgan ended with {child.returncode}")
    return printed


@ray.remote
def _run(named: Optional[str], command: Sequence[str], folder: str, threads: int) -> None:
    try:
        _call(_program(named), command, folder, threads)
    except RuntimeError:
        time.sleep(_PAUSE)
        raise
