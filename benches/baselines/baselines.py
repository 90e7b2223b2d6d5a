#!/usr/bin/env python3
"""Measures simple detectors of scikit-learn on the protocol of `pkdgan reproduce`, and writes results/baselines.csv.

    pip install -r benches/baselines/requirements.txt
    python benches/baselines/baselines.py                                  every method, class and data set
    python benches/baselines/baselines.py --dataset mnist --classes 2,8    a part; what the file has is kept

A detector is fitted on all official training images of the normal class and evaluated on the whole official test set, the normal
class against the nine others. Pixels lie in [0, 1]. No setting was chosen by labels:

    nearest-neighbour-1    distance to the nearest training image
    nearest-neighbour-5    mean distance to the five nearest
    pca-reconstruction     squared error after 32 principal components
    one-class-svm          RBF kernel on 32 whitened principal components, scikit-learn's own nu and gamma (0.5, 1/32)
    isolation-forest       100 trees on pixels; a row for each of three seeds

Columns: data set, normal class, method, seed, AUROC, seconds, version of scikit-learn.
"""

import argparse
import csv
import gzip
import time
from pathlib import Path

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["dataset", "normal", "method", "seed", "auroc", "seconds", "scikit_learn"]
DATASETS = ["mnist", "fashion-mnist", "cifar-10"]
COMPONENTS = 32


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", action="append", choices=DATASETS, help="data set; repeatable [default: all]")
    parser.add_argument("--classes", default="0,1,2,3,4,5,6,7,8,9", help="normal classes [default: all]")
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="folder of the data sets [default: data]")
    parser.add_argument("--out", type=Path, default=ROOT / "results/baselines.csv", help="table to add to")
    return parser.parse_args()


def read_idx(path):
    """The values of an IDX file, packed by gzip or not."""
    if path.exists():
        data = path.read_bytes()
    else:
        data = gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    sizes = np.frombuffer(data, ">u4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def load(folder, dataset, part):
    """Pixels [n, values] in [0, 1] and labels [n] of the training or test part."""
    if dataset == "cifar-10":
        names = [f"data_batch_{batch}.bin" for batch in range(1, 6)] if part == "train" else ["test_batch.bin"]
        folder = folder / "cifar-10-batches-bin"
        rows = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in names])
        pixels, labels = rows[:, 1:], rows[:, 0]
    else:
        stem = "train" if part == "train" else "t10k"
        pixels = read_idx(folder / f"{stem}-images-idx3-ubyte")
        labels = read_idx(folder / f"{stem}-labels-idx1-ubyte")
    return pixels.reshape(len(labels), -1).astype(np.float32) / 255, labels


def nearest(count):
    def score(normal, images, _):
        neighbours = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(normal)
        return neighbours.kneighbors(images)[0].mean(axis=1)

    return score


def pca_reconstruction(normal, images, _):
    pca = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(normal)
    return np.square(images - pca.inverse_transform(pca.transform(images))).sum(axis=1)


def one_class_svm(normal, images, _):
    pca = PCA(COMPONENTS, svd_solver="covariance_eigh", whiten=True).fit(normal)
    svm = OneClassSVM().fit(pca.transform(normal))
    return -svm.decision_function(pca.transform(images))


def isolation_forest(normal, images, seed):
    return -IsolationForest(n_estimators=100, random_state=seed).fit(normal).score_samples(images)


METHODS = {
    "nearest-neighbour-1": (nearest(1), [0]),
    "nearest-neighbour-5": (nearest(5), [0]),
    "pca-reconstruction": (pca_reconstruction, [0]),
    "one-class-svm": (one_class_svm, [0]),
    "isolation-forest": (isolation_forest, [0, 1, 2]),
}


def order(row):
    return DATASETS.index(row["dataset"]), int(row["normal"]), list(METHODS).index(row["method"]), int(row["seed"])


def write(path, rows):
    """Writes the table whole, so that a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(sorted(rows.values(), key=order))
    partial.replace(path)


def main():
    arguments = parse()
    old = csv.DictReader(arguments.out.open(newline="")) if arguments.out.exists() else []
    rows = {order(row): row for row in old}
    for dataset in arguments.dataset or DATASETS:
        folder = arguments.data_dir / dataset
        train, train_labels = load(folder, dataset, "train")
        test, test_labels = load(folder, dataset, "test")
        for normal in (int(name) for name in arguments.classes.split(",")):
            for method, (score, seeds) in METHODS.items():
                for seed in seeds:
                    row = {"dataset": dataset, "normal": normal, "method": method, "seed": seed}
                    if order(row) in rows:
                        continue
                    start = time.monotonic()
                    scores = score(train[train_labels == normal], test, seed)
                    row["seconds"] = f"{time.monotonic() - start:.1f}"
                    row["auroc"] = f"{roc_auc_score(test_labels != normal, scores):.6f}"
                    row["scikit_learn"] = sklearn.__version__
                    rows[order(row)] = row
                    write(arguments.out, rows)
                    print(f"{dataset} {normal} {method} {seed}: {row['auroc']}, {row['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
