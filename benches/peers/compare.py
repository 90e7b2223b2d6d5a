#!/usr/bin/env python3
"""Times a model in pkdgan, onnxruntime and PyTorch eager, in turn, on the same machine in the same run; prints ratios.

    pip install -r benches/peers/requirements.txt
    cargo build --release
    python benches/peers/compare.py runs/mnist-8-default-seed0/model.safetensors

A round is one `pkdgan bench`, then onnxruntime, then PyTorch. Figures are medians over rounds. One image is timed with one
thread for the peers, bound to one core, 512 images with two. First the peers' scores are compared with those of `pkdgan score`.
Nothing else should run on the machine.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "onnx"))
from idx import read_images, read_rows  # noqa: E402

from machine import processor  # noqa: E402
from networks import Model  # noqa: E402

# Images at once, and threads for the peers.
SETTINGS = [(1, 1), (512, 2)]
PEERS = ("onnxruntime", "PyTorch")


def onnxruntime_scorer(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # What only p-values need does not run.
    run_options = onnxruntime.RunOptions()
    run_options.only_execute_path_to_fetches = True
    return lambda images: session.run(["score"], {"image": images}, run_options)[0]


def torch_scorer(model, threads):
    def score(images):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return model.score(model.padded(torch.from_numpy(images).float() / 127.5 - 1)).numpy()

    return score


def timed(score, images, seconds):
    """Median, p95 and p99 time of a call in microseconds, after a warm-up of a fifth of the time."""
    times = []
    begun = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < 1.2 * seconds:
        start = time.perf_counter()
        score(images)
        end = time.perf_counter()
        if end - begun > 0.2 * seconds:
            times.append(1e6 * (end - start))
    return np.percentile(times, [50, 95, 99])


@contextlib.contextmanager
def bound(to_one_core):
    """Within it this process runs on one core."""
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)} if to_one_core else cores)
        yield
    finally:
        os.sched_setaffinity(0, cores)


def pkdgan(binary, *arguments):
    """What a command prints."""
    done = subprocess.run([binary, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {binary} {' '.join(map(str, arguments))}")
    return done.stdout


def compare_scores(binary, model, scorers, idx, count, folder):
    """Largest relative difference of each peer's scores from pkdgan's."""
    images = read_images(idx)[:count]
    part = folder / "images-idx3-ubyte"
    header = b"".join(number.to_bytes(4, "big") for number in (0x0803, len(images), *images.shape[2:]))
    part.write_bytes(header + images.tobytes())
    pkdgan(binary, "score", model, part, "--output", folder / "scores.csv", "--quiet")
    rows = read_rows(folder / "scores.csv")
    ours = np.array([float(rows[index]["score"]) for index in range(len(images))])
    differences = {}
    for peer in PEERS:
        theirs = scorers[peer, 512](images)
        differences[peer] = float((np.abs(theirs - ours) / ours).max())
        if not differences[peer] <= 1e-4:
            sys.exit(f"failed: scores of {peer} differ by {differences[peer]:.2e}: they compute something else")
    return differences


def rows_of(name, batch, times):
    median, p95, p99 = times
    rate = 1e6 * batch / median
    return {"network": "model", "path": name, "batch": batch, "median_us": median, "p95_us": p95, "p99_us": p99,
            "images_per_s": rate}


def medians(rounds):
    """Rows with the median over rounds of each figure."""
    gathered = {}
    for row in (row for rows in rounds for row in rows):
        gathered.setdefault((row["network"], row["path"], row["batch"]), []).append(row)
    figures = ("median_us", "p95_us", "p99_us", "images_per_s")
    return [
        {"network": network, "path": path, "batch": batch}
        | {figure: statistics.median(row[figure] for row in rows) for figure in figures}
        for (network, path, batch), rows in gathered.items()
    ]


def ratios_of(rows):
    """Of each of our paths to each peer: latency at batch 1 (below 1 is faster), throughput at 512 (above 1 is)."""
    found = []
    for batch, _ in SETTINGS:
        here = [row for row in rows if row["batch"] == batch]
        peers = {row["path"]: row for row in here if row["path"] in PEERS}
        for row in (row for row in here if row["path"] not in PEERS):
            figure = "median_us" if batch == 1 else "images_per_s"
            found.append({
                "network": row["network"], "path": row["path"], "batch": batch,
                "of": "latency" if batch == 1 else "throughput",
                **{peer: row[figure] / theirs[figure] for peer, theirs in peers.items()},
            })
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model file (safetensors)")
    parser.add_argument("--pkdgan", default="target/release/pkdgan", help="the program [default: target/release/pkdgan]")
    parser.add_argument("--images", default="data/mnist/t10k-images-idx3-ubyte.gz", help="IDX file of images to score")
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--seconds", type=float, default=1.0, help="a peer's time per round and batch [default: 1]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        graph = folder / "model.onnx"
        pkdgan(arguments.pkdgan, "export", arguments.model, "--format", "onnx", "--out", graph)
        model = Model(arguments.model)
        scorers = {}
        for batch, threads in SETTINGS:
            scorers["onnxruntime", batch] = onnxruntime_scorer(str(graph), threads)
            scorers["PyTorch", batch] = torch_scorer(model, threads)
        differences = compare_scores(arguments.pkdgan, arguments.model, scorers, arguments.images, 1000, folder)
        images = read_images(arguments.images)
        rounds = []
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            rows = json.loads(pkdgan(arguments.pkdgan, "bench", arguments.model, "--json", "--quiet"))
            for batch, threads in SETTINGS:
                with bound(threads == 1):
                    rows += [
                        rows_of(peer, batch, timed(scorers[peer, batch], images[:batch], arguments.seconds))
                        for peer in PEERS
                    ]
            rounds.append(rows)

    rows = medians(rounds)
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "adapters": json.loads(pkdgan(arguments.pkdgan, "devices", "--json")),
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "versions": {
            "pkdgan": pkdgan(arguments.pkdgan, "--version").split()[-1], "onnxruntime": onnxruntime.__version__,
            "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(),
        },
        "model": str(arguments.model), "rounds": arguments.rounds, "peer_threads": dict(SETTINGS),
        "largest_relative_difference_of_scores": differences, "rows": rows, "ratios": ratios_of(rows),
    }
    print(json.dumps(result, indent=2) if arguments.json else report(result))


def report(result):
    """The result for a person."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    adapters = "; ".join(adapter["name"] for adapter in result["adapters"])
    lines = [f"{result['date']}, {result['machine']['cores']} cores of {result['machine']['processor']}; adapters: {adapters}"]
    lines.append(f"{versions}; {result['rounds']} rounds; peers with 1 thread at batch 1, 2 at batch 512")
    lines.append("largest relative difference of scores: " + ", ".join(
        f"{peer} {value:.1e}" for peer, value in result["largest_relative_difference_of_scores"].items()))
    lines.append(f"\n{'network':<10} {'path':<16} {'batch':>5} {'median us':>11} {'p95':>11} {'p99':>11} "
                 f"{'images/s':>10}")
    for row in result["rows"]:
        lines.append(f"{row['network']:<10} {row['path']:<16} {row['batch']:>5} {row['median_us']:>11.1f} "
                     f"{row['p95_us']:>11.1f} {row['p99_us']:>11.1f} {row['images_per_s']:>10.0f}")
    lines.append("\nratios: latency at batch 1, less is better; throughput at batch 512, more is better")
    for row in result["ratios"]:
        to = ", ".join(f"{row[peer]:.2f} of {peer}'s" for peer in PEERS)
        lines.append(f"{row['network']:<10} {row['path']:<16} {row['batch']:>5} {row['of']:<10} {to}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
