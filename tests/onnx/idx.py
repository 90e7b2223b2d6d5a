"""Images in IDX files, and the rows that pkdgan writes of them."""

import csv
import gzip
import sys

import numpy as np


def read_images(path):
    """The grey images of an IDX file, plain or packed: uint8 [N, 1, H, W]."""
    opened = gzip.open(path) if open(path, "rb").read(2) == b"\x1f\x8b" else open(path, "rb")
    with opened as file:
        magic, *shape = (int.from_bytes(file.read(4), "big") for _ in range(4))
        if magic != 0x0803:
            sys.exit(f"{path}: no IDX file of images")
        return np.frombuffer(file.read(), np.uint8).reshape(shape[0], 1, *shape[1:]).copy()


def read_rows(path):
    """Rows by index of the image: `path` is FILE#INDEX in the rows of `score`, those of `eval` have `index`."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {int(row["index"] if "index" in row else row["path"].rpartition("#")[2]): row for row in rows}
