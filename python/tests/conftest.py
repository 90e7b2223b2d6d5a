"""What the tests share: a trained student, images of MNIST, the program to compare with."""

import gzip
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pkdgan

# Who starts the tests in the background may have them ignore ctrl-C, and what they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Ray's workers step back behind all others; where something else runs, they would take ten times as long.
os.environ["RAY_worker_niceness"] = "0"

ROOT = Path(__file__).resolve().parents[2]
# A student of MNIST that is calibrated, and one that is not.
MODEL = ROOT / "web" / "model.safetensors"
UNCALIBRATED = ROOT / "tests" / "data" / "student" / "model.safetensors"
TEST_IMAGES = ROOT / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
# As few steps as a training that is looked at only for its form may have.
QUICK = {
    "training.steps": 4,
    "training.batch_size": 4,
    "distillation.step1.steps": 4,
    "distillation.step1.batch_size": 4,
    "distillation.step2.steps": 0,
}


@pytest.fixture(scope="session")
def binary():
    """The program, which must be built from the same source."""
    path = Path(os.environ.get("PKDGAN_BINARY", ROOT / "target" / "release" / "pkdgan"))
    assert path.exists(), f"{path} is missing: cargo build --release, or name the program in PKDGAN_BINARY"
    return path


@pytest.fixture(scope="session")
def mnist():
    """The test images, uint8 [10000, 28, 28]."""
    with gzip.open(TEST_IMAGES) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)


@pytest.fixture(scope="session")
def detector():
    return pkdgan.Detector.load(MODEL, path="cpu")


def write_idx(path, images):
    header = b"".join(number.to_bytes(4, "big") for number in (0x0803, *images.shape))
    path.write_bytes(header + images.tobytes())


def run(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(binary, model, *arguments):
    """Scores and p-values of `pkdgan score`."""
    lines = run(binary, "score", model, "--quiet", *arguments).splitlines()
    columns = lines[0].split(",")
    cells = [dict(zip(columns, line.rsplit(",", len(columns) - 1))) for line in lines[1:]]
    return np.array([np.float32(row["score"]) for row in cells]), np.array([float(row["p_value"]) for row in cells])


def write_png(path, image):
    """A PNG file of an image of bytes, without a library."""
    import struct
    import zlib

    height, width = image.shape[:2]
    values = image.shape[2] if image.ndim == 3 else 1
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[values]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes())) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path
