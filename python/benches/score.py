#!/usr/bin/env python3
"""Times `score_samples` beside `pkdgan score` on the same images, and beside onnxruntime on the exported model.

    pip install ./python onnxruntime
    cargo build --release
    python python/benches/score.py [--images 100000] [--rounds 5]

A round is one of each, in turn; figures are medians over rounds, and ratios are medians of each round's ratio. The images are
MNIST's test images, repeated. Of the wheel both the call is timed, and a whole process that loads model and images. First
the scores are compared. Nothing else should run on the machine.
"""

import argparse
import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pkdgan

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "web" / "model.safetensors"
# What a program does that scores an IDX file by the wheel and writes what `pkdgan score` writes.
PROCESS = """
import sys, numpy as np, pkdgan
model, images, output = sys.argv[1:]
X = np.fromfile(images, np.uint8, offset=16).reshape(-1, 28, 28)
detector = pkdgan.Detector.load(model, path="cpu")
scores = detector.score_samples(X)
np.save(output, scores)
"""


def seconds(work):
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def onnx_scorer(model, folder, binary, batch):
    import onnxruntime

    path = folder / "model.onnx"
    subprocess.run([binary, "export", model, "--format", "onnx", "--out", path], check=True, capture_output=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    options = onnxruntime.RunOptions()
    # What only p-values need does not run.
    options.only_execute_path_to_fetches = True

    def score(X):
        parts = [session.run(["score"], {"image": X[first : first + batch, None]}, options)[0]
                 for first in range(0, len(X), batch)]
        return np.concatenate(parts).ravel()

    return score


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512, help="images at once of onnxruntime [default: 512]")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "pkdgan")
    given = parser.parse_args()

    with gzip.open(ROOT / "data" / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    X = np.ascontiguousarray(np.resize(images, (given.images, 28, 28)))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        idx, csv = folder / "images-idx3-ubyte", folder / "scores.csv"
        idx.write_bytes(b"".join(n.to_bytes(4, "big") for n in (0x0803, *X.shape)) + X.tobytes())
        program = [given.binary, "score", given.model, idx, "--path", "cpu", "--quiet", "--output", csv]
        process = [sys.executable, "-c", PROCESS, given.model, idx, folder / "scores.npy"]
        detector = pkdgan.Detector.load(given.model, path="cpu")
        onnx = onnx_scorer(given.model, folder, given.binary, given.batch)

        def run(command):
            subprocess.run(command, check=True)

        works = {
            "score_samples": lambda: detector.score_samples(X),
            "a process with the wheel": lambda: run(process),
            "pkdgan score": lambda: run(program),
            "onnxruntime": lambda: onnx(X),
        }
        ours, theirs = works["score_samples"](), works["onnxruntime"]()
        run(program)
        rows = csv.read_text().splitlines()[1:]
        assert (ours == np.array([np.float32(row.rsplit(",", 3)[1]) for row in rows])).all(), "scores differ"
        differ = float(np.abs(theirs - ours).max() / np.abs(ours).max())
        assert differ < 1e-4, f"onnxruntime computes something else: {differ}"
        rounds = [{name: seconds(work)[0] for name, work in works.items()} for _ in range(given.rounds)]
    print(f"{given.images} images, {detector.threads} threads, {given.rounds} rounds, onnxruntime by {given.batch}")
    for name in works:
        median = statistics.median(times[name] for times in rounds)
        print(f"  {name:26}{median:8.3f} s {given.images / median:10.0f} images/s")
    for one, other, wanted in [
        ("score_samples", "pkdgan score", "at most 1.1"),
        ("a process with the wheel", "pkdgan score", ""),
        ("onnxruntime", "score_samples", "at least 3"),
    ]:
        ratios = sorted(times[one] / times[other] for times in rounds)
        wanted = f", wanted: {wanted}" if wanted else ""
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(f"  {one} / {other}: {statistics.median(ratios):.2f} ({spread}{wanted})")


if __name__ == "__main__":
    main()
