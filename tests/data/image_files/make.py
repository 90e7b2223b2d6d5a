"""Writes the files of this folder: images as NumPy and pyarrow write them, for tests/image_files.rs, which knows the same
images. Needs numpy and pyarrow; the files here are of the versions in README.md.

    python3 tests/data/image_files/make.py
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
N, H, W = 3, 5, 6


def images(*shape):
    """Value of image n, row y, column x, channel c: (31 n + 7 y + 3 x + 50 c) mod 251."""
    n, y, x, c = np.indices((*shape, 1) if len(shape) == 3 else shape)
    return ((31 * n + 7 * y + 3 * x + 50 * c) % 251).astype(np.uint8).reshape(shape)


def picture(n):
    """The same image as a picture file (PGM)."""
    return b"P5\n%d %d\n255\n" % (W, H) + images(n + 1, H, W)[n].tobytes()


grey = images(N, H, W)
np.save(HERE / "grey.npy", grey)
np.save(HERE / "one.npy", grey[0])
np.save(HERE / "channel.npy", images(N, H, W, 1))
np.save(HERE / "rgb.npy", images(N, H, W, 3))
np.save(HERE / "rgba.npy", images(N, H, W, 4))
np.save(HERE / "little.npy", (257 * grey.astype(np.uint16)).astype("<u2"))
np.save(HERE / "big.npy", (257 * grey.astype(np.uint16)).astype(">u2"))
np.save(HERE / "fortran.npy", np.asfortranarray(grey))
np.save(HERE / "floats.npy", grey / np.float32(255))
np.save(HERE / "photo.npy", images(N, H, W, 3)[0])
np.save(HERE / "labels.npy", np.arange(N, dtype=np.uint8))
np.save(HERE / "records.npy", np.zeros(N, dtype=[("a", "u1"), ("b", "<f4")]))
with open(HERE / "version2.npy", "wb") as file:
    np.lib.format.write_array(file, grey, version=(2, 0))
np.savez(HERE / "plain.npz", grey)
labels = np.arange(N, dtype=np.uint8).reshape(N, 1)
np.savez_compressed(HERE / "packed.npz", train=grey, labels=labels, test=images(2, H, W, 3), other=grey / np.float32(255))
np.savez(HERE / "labels.npz", labels=labels[:, 0])

# Images 0, 1, none, 2, 1.
numbers = [0, 1, None, 2, 1]
encoded = [None if n is None else picture(n) for n in numbers]
binary = pa.table({"label": [1, 2, 3, 4, 5], "picture": pa.array(encoded, pa.binary())})


def parquet(name, table, **options):
    pq.write_table(table, HERE / f"{name}.parquet", **options)


for codec in ("none", "snappy", "gzip", "zstd"):
    for version in ("1.0", "2.0"):
        options = {"compression": codec, "data_page_version": version, "use_dictionary": False}
        parquet(f"{codec}-v{version[0]}", binary, **options)
for version in ("1.0", "2.0"):
    parquet(f"dictionary-v{version[0]}", binary, data_page_version=version, use_dictionary=True)
parquet("checksum", binary, write_page_checksum=True)
# As Hugging Face's data sets and Ray have them, in several row groups.
struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
rows = [None if n is None else {"bytes": picture(n), "path": f"{n}.pgm"} for n in numbers]
parquet("struct", pa.table({"image": pa.array(rows, struct), "label": [1, 2, 3, 4, 5]}), row_group_size=2)
required = pa.schema([pa.field("bytes", pa.large_binary(), nullable=False)])
parquet("required", pa.table({"bytes": [picture(n) for n in (0, 1, 2)]}, schema=required))
parquet("empty", binary.slice(0, 0))
parquet("lz4", binary, compression="lz4")
parquet("delta", binary, use_dictionary=False, column_encoding={"picture": "DELTA_LENGTH_BYTE_ARRAY", "label": "PLAIN"})
parquet("two", binary.append_column("thumbnail", binary["picture"]))
parquet("named", binary.append_column("image", binary["picture"]))
parquet("text", pa.table({"path": ["a.png"], "numbers": pa.array([[b"a", b"b"]], pa.list_(pa.binary()))}))
