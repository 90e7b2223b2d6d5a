"""The commands: ``python -m pkdgan.ray score|fit-many|reproduce``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence

import pyarrow as pa
import pyarrow.dataset
import ray
import ray.data

import pkdgan

from . import fit_many, reproduce, score

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pnm", ".pbm", ".pgm", ".ppm")
#: Paths in a block of those that are listed.
_BLOCK = 10_000
_SCORE = """\
PATH is a picture, a folder of pictures, a .parquet file or folder of such with encoded images, or a .npy file of uint8.
Every node must reach them, and --output, under the same paths.

  python -m pkdgan.ray score runs/a photos --output rows           every picture below a folder
  python -m pkdgan.ray score runs/a shots.parquet --images jpeg --keep camera --output rows
  python -m pkdgan.ray --address 10.0.0.1:6379 score runs/a /mnt/photos --output /mnt/rows --alpha 0.001

Rows are path, score, p_value, verdict, error and the columns of --keep, in Parquet files. A higher score is more
anomalous. A picture that cannot be scored has a row with the reason. Counts go to standard output, as JSON.

Exit code: 0 done, 1 something failed (rows of the others are written), 2 wrong usage, 3 with --fail-on-anomaly where a
picture is anomalous, whatever failed besides."""
_FIT = """\
Each NAME=FOLDER is a folder of normal pictures; --folders takes every folder in a folder, with its name.

  python -m pkdgan.ray fit-many bolt=parts/bolt nut=parts/nut --out runs
  python -m pkdgan.ray fit-many --folders parts --out runs --seed 1 --cpus 4 --set training.steps=3000

Run folders are OUT/NAME. The same command goes on with what was interrupted. A training's seed follows from --seed and
its name: the first four bytes of SHA-256 of SEED/NAME. Results go to standard output, as a JSON list.

Exit code: 0 done, 1 some failed (the others are done), 2 wrong usage."""
_GRID = """\
What stands behind -- goes to `pkdgan reproduce`, whose --help explains it.

  python -m pkdgan.ray reproduce -- --classes 2,5 --seeds 0-4
  python -m pkdgan.ray reproduce --cpus 4 --runs /mnt/runs --results /mnt/results -- --dataset fashion-mnist

A task runs the cells of one class and seed. The same command goes on with what was interrupted. Rows go to standard
output, as JSON.

Exit code: 0 done, 1 some failed (the others are done), 2 wrong usage."""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m pkdgan.ray", description="pkdgan on the machines of a Ray cluster.", formatter_class=raw
    )
    parser.add_argument("--address", help="the cluster, as HOST:PORT [default: RAY_ADDRESS, or this machine alone]")
    parser.add_argument("--quiet", "-q", action="store_true", help="print results and errors only")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    made = commands.add_parser("score", help="score many images", epilog=_SCORE, formatter_class=raw)
    made.add_argument("model", help="model file, or a run folder")
    made.add_argument("paths", nargs="+", metavar="PATH", help="what to score; of one kind")
    made.add_argument("--output", "-o", required=True, metavar="DIR", help="folder for Parquet files, new or empty")
    made.add_argument("--images", metavar="COLUMN", help="column with the images [default: image, bytes, data or path]")
    made.add_argument("--keep", action="append", default=[], metavar="COLUMN", help="column to keep; repeatable")
    rule = made.add_mutually_exclusive_group()
    rule.add_argument("--alpha", type=float, metavar="RATE", help="anomalous is what has a p-value of at most this")
    rule.add_argument("--threshold", type=float, metavar="SCORE", help="anomalous is what has a score above this")
    made.add_argument("--fail-on-anomaly", action="store_true", help="exit with code 3 where a picture is anomalous")
    made.add_argument("--actors", type=int, metavar="N", help="how many score [default: one a CPU, or a GPU]")
    made.add_argument("--batch-size", type=int, default=256, metavar="N", help="rows at a time of each [default: 256]")
    made.add_argument("--path", default="cpu", help="how to run the network, as of pkdgan score [default: cpu]")
    _resources(made, cpus=0)

    made = commands.add_parser("fit-many", help="train many detectors", epilog=_FIT, formatter_class=raw)
    made.add_argument("named", nargs="*", metavar="NAME=FOLDER", help="a name with its folder of normal pictures")
    made.add_argument("--folders", metavar="DIR", help="every folder in this one, with its name")
    made.add_argument("--out", "-o", required=True, metavar="DIR", help="where run folders go")
    made.add_argument("--seed", type=int, default=0, help="[default: 0]")
    made.add_argument("--stage", default="all", choices=["all", "teacher", "student"], help="[default: all]")
    made.add_argument("--side", type=int, default=32, help="side of the networks' images: 32, 64 or 128 [default: 32]")
    made.add_argument("--recipe", default="default", help="settings that work together [default: default]")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a single setting; repeatable")
    made.add_argument("--device", default="cpu", choices=["auto", "gpu", "cpu"], help="[default: cpu]")
    made.add_argument("--retries", type=int, default=3, help="tries after a node died or a device failed [default: 3]")
    _resources(made, cpus=1)

    made = commands.add_parser("reproduce", help="run a grid of trainings", epilog=_GRID, formatter_class=raw)
    made.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="those of pkdgan reproduce")
    made.add_argument("--runs", default="runs/reproduce", metavar="DIR", help="[default: runs/reproduce]")
    made.add_argument("--results", default="results", metavar="DIR", help="[default: results]")
    made.add_argument("--program", metavar="FILE", help="the program pkdgan on every node [default: found in PATH]")
    made.add_argument("--retries", type=int, default=3, help="tries after a node died [default: 3]")
    _resources(made, cpus=1)
    return parser


def _resources(parser: argparse.ArgumentParser, cpus: int) -> None:
    parser.add_argument("--cpus", type=int, default=cpus, help=f"CPUs that each holds of its node [default: {cpus}]")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs that each holds of its node [default: 0]")


def _score(given: argparse.Namespace, say: Any) -> int:
    begun = time.monotonic()
    options = {name: getattr(given, name) for name in ("images", "keep", "alpha", "threshold", "output", "actors")}
    options.update(batch_size=given.batch_size, cpus=given.cpus, gpus=given.gpus, path=given.path)
    score(_dataset(given.paths), given.model, **options)
    # Counted from what was written, where every row stands once.
    written = pyarrow.dataset.dataset(given.output, format="parquet")
    verdict, error = pyarrow.dataset.field("verdict"), pyarrow.dataset.field("error")
    rows, failed = written.count_rows(), written.count_rows(filter=error.is_valid())
    anomalous = written.count_rows(filter=verdict == "anomalous")
    seconds = time.monotonic() - begun
    counts = dict(output=given.output, rows=rows, anomalous=anomalous, failed=failed, seconds=round(seconds, 3))
    print(json.dumps(counts))
    say(f"{rows - failed} images scored, {anomalous} anomalous, {failed} failed; {seconds:.2f} s")
    return 3 if given.fail_on_anomaly and anomalous else 1 if failed else 0


def _dataset(paths: Sequence[str]) -> Any:
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise ValueError(f"the paths are of several kinds ({', '.join(sorted(kinds))}); score each kind by itself")
    absolute = [os.path.abspath(path) for path in paths]
    if kinds == {"Parquet"}:
        return ray.data.read_parquet(absolute)
    if kinds == {"NumPy"}:
        return ray.data.read_numpy(absolute)
    blocks = [ray.put(pa.table({"path": block})) for block in _blocks(paths)]
    if not blocks:
        raise ValueError(f"{', '.join(paths)}: no pictures; name files or folders that have some")
    return ray.data.from_arrow_refs(blocks)


def _kind(path: str) -> str:
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file or folder")
    if os.path.isdir(path):
        names = os.listdir(path)
        return "Parquet" if any(name.endswith(".parquet") for name in names) else "pictures"
    return {".parquet": "Parquet", ".npy": "NumPy"}.get(os.path.splitext(path)[1].lower(), "pictures")


def _blocks(paths: Sequence[str]) -> Iterator[List[str]]:
    """The pictures of files and folders, by name, some at a time. Of a folder what has a dot in front is left out."""
    block: List[str] = []
    for path in paths:
        for file in _below(path) if os.path.isdir(path) else [path]:
            block.append(os.path.abspath(file))
            if len(block) == _BLOCK:
                yield block
                block = []
    if block:
        yield block


def _below(folder: str) -> Iterator[str]:
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(_PICTURES) and not name.startswith("."):
                yield os.path.join(inside, name)


def _fit_many(given: argparse.Namespace, say: Any) -> int:
    folders: Dict[str, str] = {}
    if given.folders:
        inside = sorted(entry.name for entry in os.scandir(given.folders) if entry.is_dir() and entry.name[0] != ".")
        folders = {name: os.path.join(given.folders, name) for name in inside}
    for named in given.named:
        name, sign, folder = named.partition("=")
        if not sign:
            raise ValueError(f"{named}: no name and folder; write NAME=FOLDER")
        folders[name] = folder
    settings: Dict[str, Any] = {}
    for setting in given.set:
        key, sign, value = setting.partition("=")
        if not sign:
            raise ValueError(f"--set {setting}: no setting; write KEY=VALUE")
        settings[key] = _number(value)

    def tell(event: Dict[str, Any]) -> None:
        result: Optional[Any] = event.get("result")
        if result is not None:
            auroc = "" if result.auroc is None else f", AUROC {result.auroc:.4f}"
            say(f"{event['name']}: " + (f"failed: {result.error}" if result.error else f"done{auroc}"))
        elif event["total"]:
            say(f"{event['name']}: {event['phase']}, {event['done']} of {event['total']}")
        else:
            say(f"{event['name']}: {event['phase']}")

    names = ("seed", "stage", "side", "recipe", "device", "cpus", "gpus", "retries")
    options = {name: getattr(given, name) for name in names}
    results = fit_many(folders, given.out, settings=settings, callback=tell, **options)
    print(json.dumps([result.as_dict() for result in results.values()], indent=2))
    return 1 if any(result.error for result in results.values()) else 0


def _number(text: str) -> Any:
    """A value of ``--set``: a number, a boolean or a list in JSON's syntax, which is TOML's too; else a text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _reproduce(given: argparse.Namespace, say: Any) -> int:
    def tell(event: Dict[str, Any]) -> None:
        say(f"[{event['done']}/{event['total']}] {event['part']}: {event['state']}")

    names = ("runs", "results", "program", "cpus", "gpus", "retries")
    rows = reproduce(given.arguments, callback=tell, **{name: getattr(given, name) for name in names})
    print(json.dumps(rows, indent=2))
    return 0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs a command and returns its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)

    def say(line: str) -> None:
        if not given.quiet:
            print(line, file=sys.stderr, flush=True)

    run = {"score": _score, "fit-many": _fit_many, "reproduce": _reproduce}[given.command]
    try:
        if not ray.is_initialized():
            ray.init(address=given.address, log_to_driver=False, logging_level="WARNING")
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = not given.quiet
        return run(given, say)
    except KeyboardInterrupt:
        say("stopped; what is done stays, and the same command goes on" if given.command != "score" else "stopped")
        return 1
    except (OSError, ValueError, TypeError, RuntimeError, ray.exceptions.RayError) as error:
        # What a worker raised is of two classes: Ray's, and that of the cause.
        worked = isinstance(error, ray.exceptions.RayError)
        print(f"error: {getattr(error, 'cause', None) or error}", file=sys.stderr)
        return 2 if isinstance(error, (ValueError, TypeError)) and not worked else 1


if __name__ == "__main__":
    sys.exit(main())
