#!/usr/bin/env python3
"""Tries settings on own images, judged by painted defects alone, and writes results/inspection/settings.csv.

    pip install -r benches/inspection/requirements.txt
    python benches/inspection/settings.py FOLDER --sets elpv,casting --queue benches/inspection/settings.txt

Each line of the queue has the settings of a trial, as KEY=VALUE with spaces between them. Beside settings of the program there are
`size=64`; `pictures=50`, which trains on so many of the pictures, drawn by the seed; and `before.KEY=VALUE`, by which a teacher
is trained first whose weights the trial begins with. A line that begins with # says nothing.

A trial trains on train/good of a set and sees no other folder, so no real defect. Trials that settings.csv has are not run again.

settings.csv has a row for each network and kind of score: set, settings, seed, pictures that were trained on, network, score, AUROC
on local painted defects, on whole images changed, and the mean of both; share found; seconds of training of the whole run;
build.
"""

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from inspection import ROOT, complete, keyed, some, write  # noqa: E402

COLUMNS = ["set", "settings", "seed", "pictures", "network", "score", "local", "whole", "mean", "found", "seconds", "build"]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the sets")
    parser.add_argument("--sets", required=True, help="names of sets, with commas")
    parser.add_argument("--seeds", default="0", help="seeds, with commas [default: 0]")
    parser.add_argument("--queue", type=Path, required=True, help="file with the settings of a trial in each line")
    parser.add_argument("--same-teacher", action="store_true",
                        help="distil the teacher of the trial without settings, which must be done, instead of training one")
    parser.add_argument("--program", type=lambda path: Path(path).resolve(), default=ROOT / "target/release/pkdgan", help="the program to run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/settings", help="folder of run folders")
    parser.add_argument("--out", type=Path, default=ROOT / "results/inspection/settings.csv", help="table to add to")
    return parser.parse_args()


def sets(settings):
    """Settings as arguments of the program."""
    return [argument for key, value in settings.items() for argument in ("--set", f"{key}={value}")]


def trial(arguments, folder, seed, settings):
    """Runs a trial, or goes on with it, and gives its rows."""
    words = dict(word.split("=", 1) for word in settings.split())
    size, pictures = words.pop("size", "32"), words.pop("pictures", None)
    before = {key.removeprefix("before."): words.pop(key) for key in list(words) if key.startswith("before.")}
    named = lambda settings: f"{folder.name}-{seed}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    run = arguments.runs / named(settings)
    images = folder / "train/good"
    if pictures:
        images = some(images, int(pictures), seed, run.with_name(run.name + "-images").resolve())
    base = ["--images", images, "--size", size, "--seed", seed]
    if arguments.same_teacher:
        base += ["--teacher", arguments.runs / named("")]
    if before:
        first = run.with_name(run.name + "-before")
        complete(arguments, first, [*base, "--stage", "teacher", *sets(before)])
        base += ["--init", first / "model.safetensors"]
    report = complete(arguments, run, [*base, *sets(words)])
    for of in report["sensitivity"]["detectors"]:
        yield {"set": folder.name, "settings": settings, "seed": seed, "pictures": pictures or "", "network": of["detector"],
               "score": of.get("score", ""), "local": f"{of['local_auroc']:.4f}", "whole": f"{of['whole_auroc']:.4f}",
               "mean": f"{of['auroc']:.4f}", "found": f"{of['found']:.4f}", "seconds": f"{report['seconds_total']:.0f}",
               "build": report["build"]}


def main():
    arguments = parse()
    lines = [" ".join(line.split()) for line in arguments.queue.read_text().splitlines()]
    for settings in (line for line in lines if not line.startswith("#")):
        for name in arguments.sets.split(","):
            for seed in arguments.seeds.split(","):
                rows = keyed(arguments.out, COLUMNS[:6])
                if any(key[:3] == (name, settings, seed) for key in rows):
                    continue
                new = list(trial(arguments, (arguments.folder / name).resolve(), seed, settings))
                # Others may have added theirs in the meantime.
                rows = keyed(arguments.out, COLUMNS[:6])
                rows |= {tuple(str(row[column]) for column in COLUMNS[:6]): row for row in new}
                write(arguments.out, COLUMNS, list(rows.values()))
                print(f"{name} seed {seed} {settings or 'as they are'}: {new[0]['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
