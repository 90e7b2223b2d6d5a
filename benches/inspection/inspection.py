#!/usr/bin/env python3
"""Measures what pkdgan does for own images, on real inspection sets, and writes results/inspection/.

    pip install -r benches/inspection/requirements.txt
    python benches/inspection/inspection.py FOLDER               every set in FOLDER, seeds 0 to 2
    python benches/inspection/inspection.py FOLDER --sets elpv --seeds 0

    python benches/inspection/inspection.py FOLDER --pictures 50 trains on 50 pictures of each, drawn by the seed

A set is a folder with train/good, test/good and other folders below test, which hold defects. Training sees train/good and no
label. A run that is done is not run again, and one that was killed goes on from its checkpoint. The sets are not part of the
project; README.md beside this file says where they are from.

For teacher and student, by each kind of score and by the one that `--score auto` takes: the AUROC on the test images, defects
found and false alarms at alpha 0.05, and what the run itself found of painted defects. Beside them nearest neighbour and PCA as
the run measures them, and detectors of scikit-learn on the same pixels, as in benches/baselines/baselines.py.

runs.csv has a row for each set, seed and detector: set, side, seed, detector, AUROC and its 95 % half-width (Hanley and McNeil
1982), AUROC by the whole reconstruction error, defects found and false alarms at alpha 0.05, AUROC and share found of painted
defects; of networks, where the set has masks under ground_truth, the AUROC over all pixels of its heat maps, the share of defects
that the map is highest on, and the share of a picture that a defect covers; seconds of training, build. A detector without `by`
scores by the latent distance. painted.csv has the share found of
each defect by the run's student, by the score that it was trained with.
"""

import argparse
import csv
import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/baselines"))
from baselines import METHODS  # noqa: E402

COLUMNS = ["set", "side", "seed", "detector", "auroc", "half_width", "reconstruction_auroc", "found", "false_alarms",
           "painted_auroc", "painted_found", "pixel_auroc", "maximum_on_defect", "defect_area", "seconds", "build"]
PAINTED = ["set", "side", "seed", "kind", "size", "contrast", "found"]
ALPHA = 0.05
SIDES = {"magtile": 64}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the sets")
    parser.add_argument("--sets", help="names of sets, with commas [default: all in the folder]")
    parser.add_argument("--seeds", default="0,1,2", help="seeds, with commas [default: 0,1,2]")
    parser.add_argument("--side", type=int, choices=(32, 64, 128), help="side that pictures are scaled to [default: 64 for magtile, else 32]")
    parser.add_argument("--pictures", type=int, help="train on so many pictures of each set [default: all]; the set is then called NAME-PICTURES")
    parser.add_argument("--program", type=lambda path: Path(path).resolve(), default=ROOT / "target/release/pkdgan", help="the program to run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/inspection", help="folder of run folders")
    parser.add_argument("--out", type=Path, default=ROOT / "results/inspection", help="folder of results")
    return parser.parse_args()


def half_width(auroc, normal, anomalous):
    """The 95 % half-width of an AUROC over so many images of each kind (Hanley and McNeil 1982)."""
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc) + (anomalous - 1) * (q1 - auroc**2) + (normal - 1) * (q2 - auroc**2)
    return 1.96 * math.sqrt(variance / (normal * anomalous))


def parts(folder):
    """The normal and the anomalous files of a set's test."""
    files = sorted(path for path in (folder / "test").rglob("*") if path.is_file())
    return [[path for path in files if (path.parent.name == "good") == wanted] for wanted in (True, False)]


def some(folder, count, seed, to):
    """A folder of links to so many of the pictures below a folder."""
    pictures = sorted(path for path in folder.rglob("*") if path.is_file())
    to.mkdir(parents=True, exist_ok=True)
    for path in random.Random(f"{folder.parents[1].name} {seed}").sample(pictures, count):
        link = to / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    return to


def named(folder, pictures):
    """What a set is called."""
    return f"{folder.name}-{pictures}" if pictures else folder.name


def complete(arguments, run, more):
    """Trains a run by these arguments, or goes on with it, unless it is done; gives its report."""
    if not (run / "report.json").exists():
        command = [arguments.program, "train", "--quiet", "--device", "cpu"]
        command += ["--resume", run] if (run / "config.toml").exists() else [*more, "--out", run]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return json.loads((run / "report.json").read_text())


def train(arguments, folder, side, seed):
    """Trains a run of a set, or goes on with it, and gives its report."""
    run = arguments.runs / f"{named(folder, arguments.pictures)}-{side}-{seed}"
    images = ["--images", folder]
    if arguments.pictures:
        links = run.with_name(run.name + "-images").resolve()
        images = ["--images", some(folder / "train/good", arguments.pictures, seed, links)]
        images += ["--test-normal", folder / "test/good", "--anomalies", folder / "test"]
    return run, complete(arguments, run, ["--size", side, "--seed", seed, *images])


def favoured(model):
    """The kind of score that a model's painted defects are told best by."""
    data = model.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["normality"])["favoured"]


def verdicts(arguments, model, folder, kind):
    """Defects found and false alarms of a model at ALPHA, by a kind of score."""
    command = [arguments.program, "score", model, folder / "test", "--path", "cpu", "--quiet", "--format", "jsonl",
               "--score", kind]
    scored = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in scored.stdout.splitlines()]
    shares = []
    for wanted in (False, True):
        of = [row["p_value"] <= ALPHA for row in rows if (Path(row["path"]).parent.name == "good") == wanted]
        shares.append(sum(of) / len(of))
    return shares


def measured(arguments, folder, side, seed):
    """The rows of a run."""
    run, report = train(arguments, folder, side, seed)
    normal, anomalous = map(len, parts(folder))
    name_of_set = named(folder, arguments.pictures)
    networks = {network["network"]: network for network in report["networks"]}
    places = {of["network"]: of for of in (report.get("localization") or {}).get("networks", [])}
    rows, painted = [], []
    for detector in report["sensitivity"]["detectors"]:
        name, kind = detector["detector"], detector.get("score")
        label = name if kind in (None, "latent") else f"{name} by {kind}"
        row = {"set": name_of_set, "side": side, "seed": seed, "detector": label, "build": report["build"]}
        row["auroc"] = f"{detector['anomalies_auroc']:.4f}"
        row["half_width"] = f"{half_width(detector['anomalies_auroc'], normal, anomalous):.4f}"
        row["painted_auroc"] = f"{detector['auroc']:.4f}"
        row["painted_found"] = f"{detector['found']:.4f}"
        if name in networks:
            row["reconstruction_auroc"] = f"{networks[name]['reconstruction_auroc_l2']:.4f}"
            seconds = networks[name]["seconds"]
            row["seconds"] = "" if seconds is None else f"{seconds:.0f}"
        if name in places and kind in (None, "latent"):
            row |= {column: f"{places[name][column]:.4f}" for column in ("pixel_auroc", "maximum_on_defect", "defect_area")}
        model = {"teacher": "teacher.safetensors", "student": "model.safetensors"}.get(name)
        if model:
            found, alarms = verdicts(arguments, run / model, folder, kind)
            row |= {"found": f"{found:.4f}", "false_alarms": f"{alarms:.4f}"}
            if kind == favoured(run / model):
                rows.append(row | {"detector": f"{name} by auto"})
        rows.append(row)
        if name == "student" and kind == networks[name]["score"]:
            base = {"set": name_of_set, "side": side, "seed": seed}
            kinds = lambda defect: {column: defect[column] for column in PAINTED[3:-1]}
            painted += [base | kinds(defect) | {"found": f"{defect['found']:.4f}"} for defect in detector["defects"]]
    return rows, painted


def pixels(files, side):
    """Grey pixels [n, side * side] in [0, 1]."""
    read = [np.asarray(Image.open(path).convert("L").resize((side, side), Image.BILINEAR)) for path in files]
    return np.stack(read).reshape(len(files), -1).astype(np.float32) / 255


def baselines(folder, side, have):
    """The rows of detectors of scikit-learn, but for those that the table has."""
    data = None
    for method, (score, seeds) in METHODS.items():
        for seed in seeds:
            key = (folder.name, str(side), str(seed), f"scikit-learn {method}")
            if key in have:
                continue
            if data is None:
                normal, anomalous = parts(folder)
                known = sorted(path for path in (folder / "train/good").rglob("*") if path.is_file())
                labels = [0] * len(normal) + [1] * len(anomalous)
                data = pixels(known, int(side)), pixels(normal + anomalous, int(side)), labels, len(normal), len(anomalous)
            known, test, labels, normal, anomalous = data
            start = time.monotonic()
            auroc = roc_auc_score(labels, score(known, test, seed))
            yield dict(zip(COLUMNS[:4], key)) | {
                "auroc": f"{auroc:.4f}", "half_width": f"{half_width(auroc, normal, anomalous):.4f}",
                "seconds": f"{time.monotonic() - start:.0f}"}


def write(path, columns, rows):
    """Writes a table whole, so that a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    partial.replace(path)


def keyed(path, columns):
    """The rows of a table by their first columns."""
    rows = csv.DictReader(path.open(newline="")) if path.exists() else []
    return {tuple(row[column] for column in columns): row for row in rows}


def where(rows):
    """The table of heat maps beside masks, if there are any."""
    groups = {}
    for row in rows:
        if row.get("pixel_auroc"):
            groups.setdefault((row["set"], row["side"], row["detector"]), []).append(row)
    if not groups:
        return ""
    text = "\nHeat maps beside masks of the real defects:\n\n"
    text += "| set | side | network | seeds | pixel AUROC | highest on the defect | by chance |\n|---|---|---|---|---|---|---|\n"
    for key, of in groups.items():
        pixel, highest, area = ([float(row[column]) for row in of] for column in ("pixel_auroc", "maximum_on_defect", "defect_area"))
        mean = lambda values: sum(values) / len(values)
        text += f"| {' | '.join(key)} | {len(of)} | {mean(pixel):.3f} | {mean(highest):.1%} | {mean(area):.1%} |\n"
    return text


def page(rows):
    """The table of a page: means over seeds."""
    groups = {}
    for row in rows:
        groups.setdefault((row["set"], row["side"], row["detector"]), []).append(row)
    mean = lambda of, column: [float(row[column]) for row in of if row.get(column)]
    shown = lambda values, form: form.format(sum(values) / len(values)) if values else ""
    text = "# Own images: real inspection sets\n\n"
    text += "Made by `benches/inspection/inspection.py`; means over seeds. [benches/inspection](../../benches/inspection/README.md) says what the sets are.\n\n"
    text += "| set | side | detector | seeds | AUROC | ± | by reconstruction | found at 0.05 | false alarms | painted: AUROC | painted: found |\n"
    text += "|---|---|---|---|---|---|---|---|---|---|---|\n"
    for (name, side, detector), of in groups.items():
        cells = [name, side, detector, str(len(of)), shown(mean(of, "auroc"), "{:.3f}"), shown(mean(of, "half_width"), "{:.3f}"),
                 shown(mean(of, "reconstruction_auroc"), "{:.3f}"), shown(mean(of, "found"), "{:.1%}"),
                 shown(mean(of, "false_alarms"), "{:.1%}"), shown(mean(of, "painted_auroc"), "{:.3f}"),
                 shown(mean(of, "painted_found"), "{:.1%}")]
        text += f"| {' | '.join(map(str, cells))} |\n"
    text += where(rows)
    text += "\nAUROC on painted defects against AUROC on real ones:\n\n| set | detectors | correlation |\n|---|---|---|\n"
    pairs = {}
    for row in rows:
        whole = not row["set"].rpartition("-")[2].isdigit()  # not one of --pictures
        if whole and row.get("painted_auroc") and not row["detector"].endswith(" by auto"):
            for name in (row["set"], "all"):
                pairs.setdefault(name, []).append((float(row["painted_auroc"]), float(row["auroc"])))
    for name, of in pairs.items():
        text += f"| {name} | {len(of)} | {np.corrcoef(np.array(of).T)[0, 1]:.2f} |\n"
    return text


def main():
    arguments = parse()
    names = arguments.sets.split(",") if arguments.sets else sorted(path.name for path in arguments.folder.iterdir())
    runs, painted = arguments.out / "runs.csv", arguments.out / "painted.csv"
    rows, defects = keyed(runs, COLUMNS[:4]), keyed(painted, PAINTED[:-1])
    for seed in arguments.seeds.split(","):
        for name in names:
            folder, side = (arguments.folder / name).resolve(), str(arguments.side or SIDES.get(name, 32))
            if not (folder / "train/good").is_dir():
                sys.exit(f"{folder}: no train/good in it; name a folder with one folder for each set")
            start = time.monotonic()
            if (named(folder, arguments.pictures), side, seed, "student") not in rows:
                new, found = measured(arguments, folder, side, seed)
                rows |= {tuple(str(row[column]) for column in COLUMNS[:4]): row for row in new}
                defects |= {tuple(str(row[column]) for column in PAINTED[:-1]): row for row in found}
            for row in [] if arguments.pictures else baselines(folder, side, rows):
                rows[tuple(row[column] for column in COLUMNS[:4])] = row
            ordered = [rows[key] for key in sorted(rows)]
            write(runs, COLUMNS, ordered)
            write(painted, PAINTED, [defects[key] for key in defects])
            (arguments.out / "table.md").write_text(page(ordered))
            print(f"{name} seed {seed}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
