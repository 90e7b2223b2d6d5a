"""What pyarrow makes of the results of `pkdgan score`, and pkdgan of images that NumPy and pyarrow have written.

    python check.py PKDGAN MODEL IMAGES

IMAGES is an IDX file of 28 x 28 pixels, not packed. Each format must have the rows of JSON lines, and each file of the same images
their scores, to the bit.
"""

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq

COUNT = 300
COLUMNS = {"path": pa.string(), "score": pa.float32(), "p_value": pa.float64(), "verdict": pa.string(), "error": pa.string()}


def score(pkdgan, model, *arguments, code=0):
    done = subprocess.run([pkdgan, "score", model, "--quiet", *map(str, arguments)], capture_output=True)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


def rows(output):
    """Rows of JSON lines, with a null for what is not there; scores as single precision."""
    lines = [json.loads(line) for line in output.decode().splitlines()]
    for line in lines:
        if "score" in line:
            line["score"] = float(np.float32(line["score"]))
    return [{name: line.get(name) for name in COLUMNS} for line in lines]


def same(table, expected):
    assert dict(zip(table.schema.names, table.schema.types)) == COLUMNS, table.schema
    assert table.to_pylist() == expected
    assert b"pkdgan.model" in table.schema.metadata, table.schema.metadata


def main(pkdgan, model, idx):
    images = np.frombuffer(Path(idx).read_bytes(), np.uint8, offset=16).reshape(-1, 28, 28)[:COUNT]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.save(folder / "images.npy", images)
        np.savez(folder / "plain.npz", x=images, y=np.zeros(COUNT, np.uint8))
        np.savez_compressed(folder / "packed.npz", images)
        pictures = [b"P5\n28 28\n255\n" + image.tobytes() for image in images]
        pictures[7] = None
        struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        column = pa.array([picture and {"bytes": picture, "path": "a"} for picture in pictures], struct)
        for codec in ("snappy", "zstd", "gzip", "none"):
            table = pa.table({"image": column, "label": range(COUNT)})
            pq.write_table(table, folder / f"{codec}.parquet", row_group_size=100, compression=codec)

        expected = [row["score"] for row in rows(score(pkdgan, model, folder / "images.npy", "--format", "jsonl"))]
        assert len(expected) == COUNT
        for name in ("plain.npz", "packed.npz"):
            found = rows(score(pkdgan, model, folder / name, "--format", "jsonl"))
            assert [row["score"] for row in found] == expected, name
        with_null = expected[:7] + [None] + expected[8:]
        for name in ("snappy", "zstd", "gzip", "none"):
            path = folder / f"{name}.parquet"
            found = rows(score(pkdgan, model, path, "--format", "jsonl", code=1))
            assert [row["score"] for row in found] == with_null, name
            assert found[7]["path"] == f"{path}#7" and "no bytes in this row" in found[7]["error"], found[7]
        expected = found

        path = folder / "none.parquet"
        score(pkdgan, model, path, "--format", "parquet", "-o", folder / "scores.parquet", code=1)
        same(pq.read_table(folder / "scores.parquet"), expected)
        same(pq.read_table(io.BytesIO(score(pkdgan, model, path, "--format", "parquet", code=1))), expected)
        score(pkdgan, model, path, "--format", "arrow", "-o", folder / "scores.arrow", code=1)
        same(pa.feather.read_table(folder / "scores.arrow"), expected)
        stream = pa.ipc.open_stream(score(pkdgan, model, path, "--format", "arrow", code=1))
        same(stream.read_all(), expected)
    print(f"{COUNT} rows agree in Parquet and Arrow; {COUNT} images from NumPy and Parquet files have the same scores")


main(*sys.argv[1:])
