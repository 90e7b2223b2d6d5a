#!/usr/bin/env python3
"""Times training steps, and scoring with the teacher, in pkdgan, PyTorch eager, onnxruntime and Burn, in turn, on the same
machine in the same run; prints ratios.

    pip install -r benches/peers/requirements.txt
    cargo build --release --manifest-path benches/peers/burn/Cargo.toml   # for --peer Burn
    python benches/peers/training.py --peer PyTorch

All do the same: the networks of the default recipe for MNIST, from the same weights, on the same images. The losses of the
first three steps (of scoring, the scores) are compared first. A round times each, one after the other; figures are medians
over rounds, of medians over blocks of steps. pkdgan runs on its CPU executor with --threads threads, or on an adapter with
--device gpu. Nothing else should run on the machine.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import onnxruntime
import torch

import torch_steps
from machine import processor
from onnx_scoring import Onnx
from programs import Burn, Failed, Ours, same_work, write_start

BURN = Path(__file__).parent / "burn"
PEER_BURN = BURN / "target" / "release" / "peer-burn"

# Our work, batch sizes, the peer, the peer's threads, and the ratio of times to reach at each batch size.
COMPARISONS = (
    ("teacher-gan", (1, 8, 64), "PyTorch", 2, {}),
    ("teacher-gan", (1, 8, 64), "PyTorch, fused Adam", 2, {1: 0.7, 8: 0.6, 64: 0.8}),
    ("student-gan", (1, 16, 64), "PyTorch", 1, {16: 0.1}),
    ("student-gan", (1, 16, 64), "PyTorch", 2, {16: 0.1}),
    ("distillation", (1, 16, 64), "PyTorch", 2, {16: 0.5}),
    ("distillation-precomputed", (1, 16, 64), "PyTorch", 2, {}),
    ("teacher-scoring", (1, 64), "onnxruntime", 2, {1: 1.0, 64: 1.0}),
    ("teacher-scoring", (1, 64), "PyTorch", 2, {}),
    ("student-generator", (1, 64), "Burn flex", 1, {}),
    ("teacher-generator", (1,), "Burn wgpu", None, {}),
)
# What peers do where it is ours that is special.
SAME = {"distillation-precomputed": "distillation"}


class Torch:
    """In this process."""

    def __init__(self, folder, work, batch, threads, fused):
        torch.set_num_threads(threads)
        self.facts = {}
        self.threads, self.timed = threads, torch_steps.build(folder, work, batch, fused)
        self.losses = self.timed.losses()

    def measure(self, seconds):
        torch.set_num_threads(self.threads)
        return self.timed.measure(seconds)


def contestant(work, peer, threads, batch, folder):
    """A peer."""
    if peer.startswith("PyTorch"):
        return Torch(folder, work, batch, threads, "fused" in peer)
    if peer == "onnxruntime":
        return Onnx(folder, batch, threads)
    return Burn(PEER_BURN, folder, work, batch, peer.removeprefix("Burn "), threads)


def bench_executable():
    """The bench of ours, built."""
    command = ["cargo", "bench", "--bench", "training", "--no-run", "--message-format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    if done.returncode != 0:
        sys.exit("failed: " + " ".join(command))
    messages = map(json.loads, done.stdout.splitlines())
    return next(message["executable"] for message in messages
                if message.get("executable") and message["target"]["name"] == "training")


def summary(candidate, times):
    """Median over rounds."""
    medians, tails = zip(*times[candidate])
    return {"median_ms": statistics.median(medians), "p95_ms": statistics.median(tails)} | candidate.facts


def versions():
    packages = tomllib.loads((BURN / "Cargo.lock").read_text())["package"]
    burn = next(package["version"] for package in packages if package["name"] == "burn")
    return {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "burn": burn, "python": platform.python_version()}


def report(result):
    """The result for a person: a table in Markdown."""
    devices = " and ".join(sorted({row["ours"]["device"] for row in result["rows"]}))
    named = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        f"{result['date'][:10]}, {result['machine']['cores']} cores of {result['machine']['processor']}; {devices}; "
        f"{named}; {result['rounds']} rounds.",
        "",
        "| work | batch | ms | against | ms | ratio | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        threads = f", {row['threads']} thread{'s' * (row['threads'] > 1)}" if row["threads"] else ""
        lines.append(
            f"| {row['work']} | {row['batch']} | {row['ours']['median_ms']:.3g} | {row['peer']}{threads} "
            f"| {row['theirs']['median_ms']:.3g} | {row['ratio']:.2f} | {row['target'] or '-'} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, action="append", help="only this batch size; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--seconds", type=float, default=0.6, help="time for each in a round [default: 0.6]")
    parser.add_argument("--work", action="append", help="only this; may be repeated")
    parser.add_argument("--peer", action="append", help="only against peers whose name begins so; may be repeated")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of ours on the CPU [default: one a core]")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="of ours [default: cpu]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    wanted = [
        (work, batch, peer, threads, targets.get(batch))
        for work, batches, peer, threads, targets in COMPARISONS for batch in batches
        if (not arguments.work or work in arguments.work)
        and (not arguments.batch or batch in arguments.batch)
        and (not arguments.peer or peer.startswith(tuple(arguments.peer)))
    ]
    if not wanted:
        parser.error("nothing to compare")
    if any(peer.startswith("Burn") for _, _, peer, *_ in wanted) and not PEER_BURN.exists():
        parser.error(f"no {PEER_BURN}: build it first, as --help says, or give --peer PyTorch")
    executable = bench_executable()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        onnx = any(peer == "onnxruntime" for _, _, peer, *_ in wanted)
        write_start(executable, Path(__file__).parents[2] / "target" / "release" / "pkdgan", folder, onnx)
        ours, peers = {}, {}
        for work, batch, peer, threads, _ in wanted:
            if (work, batch) not in ours:
                ours[work, batch] = Ours(executable, work, batch, arguments.device,
                                         {"RAYON_NUM_THREADS": str(arguments.threads)})
            key = SAME.get(work, work), batch, peer, threads
            if key not in peers:
                print(f"making {work}, batch {batch}, in {peer}", file=sys.stderr)
                peers[key] = contestant(key[0], peer, threads, batch, folder)
        everyone = [*ours.values(), *peers.values()]
        times = {candidate: [] for candidate in everyone}
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for candidate in everyone:
                times[candidate].append(candidate.measure(arguments.seconds))

    rows = []
    for work, batch, peer, threads, target in wanted:
        mine, theirs = ours[work, batch], peers[SAME.get(work, work), batch, peer, threads]
        row = {"work": work, "batch": batch, "peer": peer, "threads": threads, "ours": summary(mine, times),
               "theirs": summary(theirs, times), "target": target}
        row["ratio"] = row["ours"]["median_ms"] / row["theirs"]["median_ms"]
        # The bench has no answers of a teacher to gather, so its losses are others; the exported model takes other pixels.
        if work != "distillation-precomputed" and theirs.losses is not None:
            try:
                row["differences"] = same_work(work, mine.losses, theirs.losses)
            except Failed as error:
                sys.exit(f"failed: {work} in {peer}: {error}\nours {mine.losses}\ntheirs {theirs.losses}")
        rows.append(row)
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count()}, "versions": versions(),
        "threads": arguments.threads, "rounds": arguments.rounds, "rows": rows,
    }
    print(json.dumps(result, indent=2) if arguments.json else report(result))


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"failed: {error}")
