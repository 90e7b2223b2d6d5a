#!/usr/bin/env python3
"""Runs trials of settings, evaluated on held-out training images, and adds a row to results/trials.csv for each network.

    python benches/trials/trial.py cifar-10 1 0 training.weights.latent=5

trains a teacher of CIFAR-10 class 1 with seed 0. `--queue FILE` runs the lines of a file instead, each with the arguments of a
trial (`cifar-10 1,4,5 0 training.steps=3000`); lines may be added while it runs, and those in trials.csv are passed over. The
test set is never read.

Words of a trial that are no settings: `recipe=NAME`, `stage=NAME`, `baseline=1` (`--with-baseline`), `teacher=SETTINGS`.
`stage=distill` takes the teacher that the same class, seed and recipe have with those settings, or without any; run that trial
first.

Columns: data set, class, seed, network, recipe, settings that differ from it, split, AUROC by latents and by reconstruction
(mean absolute error), error of normal images over that of a constant image, whether the network reconstructs (at most 0.6),
seconds of training, build.
"""

import argparse
import csv
import hashlib
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["dataset", "normal", "seed", "network", "recipe", "settings", "eval_split", "auroc", "reconstruction_auroc_l1",
           "reconstruction_ratio", "reconstructs", "seconds", "build"]
RECONSTRUCTS = 0.6


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", nargs="*", help="data set, classes, seeds, then settings as KEY=VALUE")
    parser.add_argument("--queue", type=Path, help="file with a trial in each line")
    parser.add_argument("--wait", action="store_true", help="wait for further lines at the end of the queue")
    parser.add_argument("--program", type=lambda path: Path(path).resolve(), default=ROOT / "target/release/pkdgan", help="the program to run")
    parser.add_argument("--build", help="commit of the program [default: that of the working tree]")
    parser.add_argument("--data-dir", type=Path, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/trials", help="folder of run folders")
    parser.add_argument("--out", type=Path, default=ROOT / "results/trials.csv", help="table to add to")
    return parser.parse_args()


def head():
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def rows(path):
    return list(csv.DictReader(path.open(newline=""))) if path.exists() else []


def trials(words):
    """The trials of a line: data set, class, seed, flags, settings."""
    dataset, classes, seeds, *rest = words
    flags = {"recipe": "default", "stage": "teacher", "baseline": "", "teacher": ""}
    flags |= dict(word.split("=", 1) for word in rest if word.split("=")[0] in flags)
    settings = [word for word in rest if word.split("=")[0] not in flags]
    for seed in seeds.split(","):
        for normal in classes.split(","):
            yield dataset, normal, seed, flags, settings


def run_folder(arguments, key):
    """Where the run of a trial lies."""
    dataset, normal, seed, *_ = key
    return arguments.runs / f"{dataset}-{normal}-{seed}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"


def run(arguments, dataset, normal, seed, flags, settings):
    """Runs a trial and adds its rows, unless they are there already."""
    stage = [] if flags["stage"] == "teacher" else [f"stage={flags['stage']}"]
    teacher = [f"teacher={flags['teacher']}"] if flags["teacher"] else []
    text = " ".join(stage + teacher + settings)
    key = (dataset, normal, seed, flags["recipe"], text)
    if any((row["dataset"], row["normal"], row["seed"], row["recipe"], row["settings"]) == key
           for row in rows(arguments.out)):
        return
    folder = run_folder(arguments, key)
    command = [str(arguments.program), "train", "--dataset", dataset, "--normal", normal, "--seed", seed,
               "--recipe", flags["recipe"], "--stage", flags["stage"], "--set", 'data.eval_split="validation"',
               "--set", "data.calibration=0", "--device", "cpu", "--progress", "none", "--force", "--out", str(folder)]
    if arguments.data_dir:
        command += ["--data-dir", str(arguments.data_dir)]
    if flags["stage"] == "distill":
        command += ["--teacher", str(run_folder(arguments, (dataset, normal, seed, flags["recipe"], flags["teacher"])))]
    if flags["baseline"]:
        command += ["--with-baseline"]
    for setting in settings:
        command += ["--set", setting]
    started = time.time()
    done = subprocess.run(command, capture_output=True, text=True)
    title = f"{dataset} {normal} seed {seed} {text}"
    if done.returncode != 0:
        print(f"{title}: failed\n{done.stderr}", flush=True)
        return
    report = json.loads((folder / "report.json").read_text())
    build = arguments.build or head()
    fresh = not arguments.out.exists()
    with arguments.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        for network in report["networks"]:
            ratio = network["reconstruction_l1_normal"] / network["blank_l1_normal"]
            row = [dataset, normal, seed, network["network"], flags["recipe"], text, "validation",
                   f"{network['auroc']:.4f}", f"{network['reconstruction_auroc_l1']:.4f}", f"{ratio:.3f}",
                   "yes" if ratio <= RECONSTRUCTS else "no", f"{network['seconds'] or 0:.0f}", build]
            writer.writerow(dict(zip(COLUMNS, row)))
            print(f"{title}: {network['network']} {network['auroc']:.4f} (L1 {network['reconstruction_auroc_l1']:.4f}), "
                  f"ratio {ratio:.3f}, {time.time() - started:.0f} s", flush=True)


def main():
    arguments = parse()
    if arguments.trial:
        for trial in trials(arguments.trial):
            run(arguments, *trial)
        return
    if not arguments.queue:
        sys.exit("give a trial, or --queue FILE")
    tried = set()

    def next_trial():
        # From the top each time: lines that were put in earlier come first.
        for line in arguments.queue.read_text().splitlines():
            words = shlex.split(line, comments=True)
            for trial in trials(words) if words else []:
                if str(trial) not in tried:
                    return trial
        return None

    while True:
        trial = next_trial()
        if trial:
            tried.add(str(trial))
            run(arguments, *trial)
        elif arguments.wait:
            time.sleep(3)
        else:
            return


if __name__ == "__main__":
    main()
