#!/usr/bin/env python3
"""Checks a model that `pkdgan export --format onnx` wrote: its form, and onnxruntime's scores against pkdgan's own.

    pip install -r tests/onnx/requirements.txt
    pkdgan export runs/a --format onnx --out model.onnx
    pkdgan score runs/a data/mnist/t10k-images-idx3-ubyte.gz --output scores.csv
    python tests/onnx/check.py model.onnx data/mnist/t10k-images-idx3-ubyte.gz scores.csv --calibrated

Takes the rows of `pkdgan eval --scores` too, which have no p-values and no verdicts. Exit code: 0 all is well, 1 it is not.
"""

import argparse
import json
import sys

import numpy as np
import onnx
import onnxruntime

from idx import read_images, read_rows


def expect(holds, message):
    if not holds:
        sys.exit(f"failed: {message}")


def check_scores(session, images, rows, tolerance):
    """All outputs by name, after comparing the scores with the rows'."""
    names = [output.name for output in session.get_outputs()]
    # One image, then a few, then the rest: the batch is free.
    parts = [session.run(None, {"image": part}) for part in np.split(images, [1, 8])]
    outputs = dict(zip(names, map(np.concatenate, zip(*parts))))
    theirs = outputs["score"]
    ours = np.array([float(rows[index]["score"]) for index in range(len(images))], np.float32)
    difference = np.abs(theirs - ours) / np.maximum(np.abs(ours), 1e-30)
    print(f"{len(images)} images: scores {ours.min():.4f} to {ours.max():.4f}, largest relative difference {difference.max():.2e}")
    expect(difference.max() <= tolerance, f"image {difference.argmax()} differs by {difference.max():.2e}")
    expect(len(np.unique(ours)) > len(ours) / 2, "scores hardly differ between images, so that agreeing says little")
    reconstruction = outputs["reconstruction"]
    expect(np.abs(reconstruction).max() <= 1 + 1e-5, "reconstructions leave [-1, 1]")
    expect(reconstruction.std(axis=0).max() > 1e-3, "all images have the same reconstruction")
    return outputs


def check_verdicts(outputs, metadata, rows, alpha, tolerance):
    """P-values against the metadata's calibration scores and against the rows, verdicts against the rows."""
    calibration = np.array(json.loads(metadata["calibration.scores"]), np.float32)
    count = int(metadata["calibration.count"])
    expect(count == len(calibration), f"{count} calibration scores announced, {len(calibration)} there")
    score, at_least, p_value = (outputs[name] for name in ("score", "calibration_at_least", "p_value"))
    bounds = np.maximum(calibration * np.float32(1.01), calibration + np.float32(0.005))
    expect((at_least == (bounds >= score[:, None]).sum(1)).all(), "calibration_at_least miscounts")
    expect((p_value == (1 + at_least) / (count + 1)).all(), "p_value is not (1 + calibration_at_least) / (n + 1)")
    verdicts = {"normal": 0, "anomalous": 0}
    for index, p in enumerate(p_value):
        row = rows[index]
        # Calibration scores so near that rounding decides count or do not.
        near = (np.abs(bounds - score[index]) <= tolerance * score[index]).sum() / (count + 1)
        ours = float(row["p_value"])
        expect(abs(ours - p) <= near + 1e-12, f"image {index}: p-value {ours} here, {p} there")
        verdict = "anomalous" if p <= alpha else "normal"
        expect(verdict == row["verdict"], f"image {index} is {row['verdict']} here, {verdict} there")
        verdicts[verdict] += 1
    print(f"the same verdicts: {verdicts['normal']} normal, {verdicts['anomalous']} anomalous at {alpha}")
    expect(all(verdicts.values()), "only one verdict, so that agreeing says little")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="ONNX file")
    parser.add_argument("images", help="IDX file of images, plain or packed with gzip")
    parser.add_argument("rows", help="what `pkdgan score --output` or `pkdgan eval --scores` wrote of them")
    parser.add_argument("--count", type=int, default=1000, help="how many of the images [default: 1000]")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="relative difference of scores [default: 1e-4]")
    parser.add_argument("--alpha", type=float, default=0.01, help="false-alarm rate of the verdicts [default: 0.01]")
    parser.add_argument("--calibrated", action="store_true", help="the model is calibrated: compare verdicts too")
    arguments = parser.parse_args()

    onnx.checker.check_model(arguments.model, full_check=True)
    session = onnxruntime.InferenceSession(arguments.model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    preprocessing = json.loads(metadata["preprocessing"])
    images = read_images(arguments.images)[: arguments.count]
    expect(len(images) == arguments.count, f"{arguments.images} has {len(images)} images only")
    wanted = [preprocessing[key] for key in ("channels", "height", "width")]
    expect(list(images.shape[1:]) == wanted, f"images of {images.shape[1:]} where the model takes {wanted}")
    rows = read_rows(arguments.rows)
    outputs = check_scores(session, images, rows, arguments.tolerance)
    expect(("p_value" in outputs) == arguments.calibrated, "calibration and --calibrated do not go together")
    if arguments.calibrated:
        check_verdicts(outputs, metadata, rows, arguments.alpha, arguments.tolerance)


if __name__ == "__main__":
    main()
