#!/usr/bin/env python3
"""Times training steps, and scoring with the teacher, in pkdgan, PyTorch eager and Burn, in turn, on the same machine in the
same run; prints ratios.

    pip install -r benches/peers/requirements.txt
    cargo build --release --manifest-path benches/peers/burn/Cargo.toml
    python benches/peers/training.py

All do the same: the networks of the default recipe for MNIST, from the same weights, on the same images. The losses of the
first three steps (of scoring, the scores) are compared first. A round times each, one after the other; figures are medians
over rounds, of medians over blocks of steps. Where LP_NUM_THREADS is not set, what runs on llvmpipe, Burn's too, is timed
with each of --driver-threads, and the fastest counts. Nothing else should run on the machine.
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

import torch

import torch_steps
from machine import environment, processor

BURN = Path(__file__).parent / "burn"
PEER_BURN = BURN / "target" / "release" / "peer-burn"
# Largest relative difference of a loss, in the first step and after updates.
FIRST, LATER = 1e-4, 1e-2

# Ours, the peer, the peer's threads, and the ratio of times at batch 1 to reach.
COMPARISONS = (
    ("teacher-gan", "PyTorch", 2, 1.5),
    ("teacher-gan", "PyTorch, fused Adam", 2, None),
    ("student-gan", "PyTorch", 1, 0.15),
    ("student-gan", "PyTorch, fused Adam", 1, None),
    ("student-generator", "Burn flex", 1, 1.0),
    ("distillation", "PyTorch", 2, 1.0),
    ("distillation-asked-once", "PyTorch", 2, None),
    ("teacher-generator", "Burn wgpu", None, 0.1),
    ("teacher-scoring", "PyTorch", 2, 2.5),
    ("teacher-scoring-cpu", "PyTorch", 2, 2.5),
)
# What peers do where it is ours that is special.
SAME = {"distillation-asked-once": "distillation", "teacher-scoring-cpu": "teacher-scoring"}


class Ours:
    """A process for each measurement."""

    def __init__(self, executable, work, batch, driver_threads):
        self.command = [executable, "--work", work, "--batch", str(batch), "--json", "--seconds"]
        self.settings = {"driver_threads": driver_threads}
        self.environment = environment(driver_threads)
        self.losses = self.facts = None

    def measure(self, seconds):
        done = subprocess.run([*self.command, str(seconds)], env=self.environment, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"failed: {' '.join(map(str, self.command))} {seconds}")
        measured = json.loads(done.stdout)
        self.losses = measured["losses"]
        self.facts = {key: measured[key] for key in ("adapter", "macs", "dispatches", "outside_convolutions", "loading_s")}
        return measured["median_ms"], measured["p95_ms"]


class Burn:
    """A process that goes on over all rounds: it tunes its kernels as it begins."""

    def __init__(self, folder, work, batch, backend, threads, driver_threads):
        command = [PEER_BURN, folder, work.partition("-")[0], str(batch), backend]
        self.settings = {"driver_threads": driver_threads} if backend == "wgpu" else {}
        variables = environment(driver_threads)
        if threads is not None:
            variables["RAYON_NUM_THREADS"] = str(threads)
        self.process = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.answer()
        self.losses, self.facts = first["losses"], {"adapter": first["device"]}

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"failed: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def measure(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        measured = self.answer()
        return measured["median_ms"], measured["p95_ms"]


class Torch:
    """In this process."""

    def __init__(self, folder, work, batch, threads, fused):
        torch.set_num_threads(threads)
        self.settings, self.facts = {}, {}
        self.threads, self.timed = threads, torch_steps.build(folder, work, batch, fused)
        self.losses = self.timed.losses()

    def measure(self, seconds):
        torch.set_num_threads(self.threads)
        return self.timed.measure(seconds)


def contestants(work, peer, threads, batch, folder, driver_threads):
    """A peer in each setting that may be its best."""
    if peer.startswith("PyTorch"):
        return [Torch(folder, work, batch, threads, "fused" in peer)]
    backend = peer.removeprefix("Burn ")
    settings = driver_threads if backend == "wgpu" else ["own"]
    return [Burn(folder, work, batch, backend, threads, setting) for setting in settings]


def difference(ours, theirs):
    """Largest relative difference of losses, in the first step and later."""
    relative = [
        max(abs(a - b) / max(abs(a), 1e-6) for a, b in zip(mine, others, strict=True))
        for mine, others in zip(ours, theirs, strict=True)
    ]
    return relative[0], max(relative[1:], default=0.0)


def bench_executable():
    """The bench of ours, built."""
    command = ["cargo", "bench", "--bench", "training", "--no-run", "--message-format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    if done.returncode != 0:
        sys.exit("failed: " + " ".join(command))
    messages = map(json.loads, done.stdout.splitlines())
    return next(message["executable"] for message in messages
                if message.get("executable") and message["target"]["name"] == "training")


def best(candidates, times):
    """Of the settings of one contestant the fastest, with its median over rounds."""
    found = []
    for candidate in candidates:
        medians, tails = zip(*times[candidate])
        found.append(candidate.settings | {"median_ms": statistics.median(medians), "p95_ms": statistics.median(tails)})
    fastest = min(range(len(found)), key=lambda index: found[index]["median_ms"])
    return found[fastest] | candidates[fastest].facts | ({"settings": found} if len(found) > 1 else {})


def versions():
    packages = tomllib.loads((BURN / "Cargo.lock").read_text())["package"]
    burn = next(package["version"] for package in packages if package["name"] == "burn")
    return {"torch": torch.__version__, "burn": burn, "python": platform.python_version()}


def report(result):
    """The result for a person: a table in Markdown."""
    adapters = " and ".join(sorted({row["ours"]["adapter"] for row in result["rows"] if row["ours"]["adapter"]}))
    named = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        f"{result['date'][:10]}, {result['machine']['cores']} cores of {result['machine']['processor']}; adapter {adapters}; "
        f"{named}; batch {result['batch']}, {result['rounds']} rounds.",
        "",
        "| work | ms | driver threads | against | ms | ratio | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        ours, theirs = row["ours"], row["theirs"]
        threads = [f"{row['threads']} thread{'s' * (row['threads'] > 1)}"] if row["threads"] else []
        if "driver_threads" in theirs:
            threads.append(f"driver threads: {theirs['driver_threads']}")
        lines.append(
            f"| {row['work']} | {ours['median_ms']:.3g} | {ours['driver_threads'] if ours['adapter'] else '-'} "
            f"| {row['peer']}, {', '.join(threads)} | {theirs['median_ms']:.3g} | {row['ratio']:.2f} | {row['target'] or '-'} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1, help="images of a step [default: 1]")
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--seconds", type=float, default=0.6, help="time for each in a round [default: 0.6]")
    parser.add_argument("--work", action="append", help="only this; may be repeated")
    parser.add_argument("--peer", action="append", help="only against peers whose name begins so; may be repeated")
    parser.add_argument("--driver-threads", default=os.environ.get("LP_NUM_THREADS", "own,0,2"),
                        help="settings of LP_NUM_THREADS to choose from; own: unset [default: own,0,2]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    wanted = [
        comparison for comparison in COMPARISONS
        if (not arguments.work or comparison[0] in arguments.work)
        and (not arguments.peer or comparison[1].startswith(tuple(arguments.peer)))
    ]
    if not wanted:
        parser.error("nothing to compare")
    if any(peer.startswith("Burn") for _, peer, *_ in wanted) and not PEER_BURN.exists():
        parser.error(f"no {PEER_BURN}: build it first, as --help says, or give --peer PyTorch")
    executable, settings = bench_executable(), arguments.driver_threads.split(",")

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([executable, "--write-start", folder], check=True)
        ours, peers = {}, {}
        for work, peer, threads, _ in wanted:
            # The CPU path has nothing to do with a driver.
            choices = ["own"] if work.endswith("-cpu") else settings
            if work not in ours:
                ours[work] = [Ours(executable, work, arguments.batch, setting) for setting in choices]
            key = SAME.get(work, work), peer
            if key not in peers:
                print(f"making {key[0]} in {peer}", file=sys.stderr)
                peers[key] = contestants(*key, threads, arguments.batch, folder, settings)
        everyone = [candidate for candidates in (*ours.values(), *peers.values()) for candidate in candidates]
        times = {candidate: [] for candidate in everyone}
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for candidate in everyone:
                times[candidate].append(candidate.measure(arguments.seconds))

    rows = []
    for work, peer, threads, target in wanted:
        key = SAME.get(work, work), peer
        row = {"work": work, "peer": peer, "threads": threads, "ours": best(ours[work], times),
               "theirs": best(peers[key], times), "target": target if arguments.batch == 1 else None}
        row["ratio"] = row["ours"]["median_ms"] / row["theirs"]["median_ms"]
        # The bench has no answers of a teacher to gather, so its losses are others.
        if work != "distillation-asked-once":
            row["differences"] = first, later = difference(ours[work][0].losses, peers[key][0].losses)
            if not (first <= FIRST and later <= LATER):
                sys.exit(f"failed: losses of {work} in {peer} differ by {first:.1e}, then {later:.1e}: not the same work:\n"
                         f"ours {ours[work][0].losses}\ntheirs {peers[key][0].losses}")
        rows.append(row)
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count()}, "versions": versions(),
        "batch": arguments.batch, "rounds": arguments.rounds, "rows": rows,
    }
    print(json.dumps(result, indent=2) if arguments.json else report(result))


if __name__ == "__main__":
    main()
