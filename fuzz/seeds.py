"""Writes the seeds of the fuzz targets, small good inputs, into corpus/. Needs Pillow.

    python3 fuzz/seeds.py

corpus/config/complete is the config.toml of a run.
"""

import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

from PIL import Image

CORPUS = Path(__file__).parent / "corpus"


def seed(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def idx(*dims):
    count = 1
    for dim in dims:
        count *= dim
    return bytes([0, 0, 8, len(dims)]) + struct.pack(f">{len(dims)}I", *dims) + bytes(i % 10 for i in range(count))


for name, content in [("labels", idx(5)), ("images", idx(2, 3, 4))]:
    seed("idx", name, content)
    seed("idx", f"{name}.gz", gzip.compress(content, mtime=0))

records = [bytes([label]) + bytes(i % 251 for i in range(3072)) for label in (3, 9)]
seed("cifar", "one", records[0])
seed("cifar", "two", b"".join(records))


def safetensors(tensors, metadata):
    """Header and tensors, given as name to shape."""
    header, end = {"__metadata__": metadata}, 0
    for name, shape in sorted(tensors.items()):
        count = 1
        for dim in shape:
            count *= dim
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    return json.dumps(header, separators=(",", ":")).encode(), struct.pack("<f", 0.25) * (end // 4)


def network(name, kind, normed):
    """Two layers on 8 x 8 pixels."""
    tensors = {f"{name}.{kind}1.weight": [1, 1, 4, 4], f"{name}.{kind}2.weight": [1, 1, 4, 4]}
    tensors[f"{name}.{kind}2.bias"] = [1]
    part = f"{name}.{kind}1.norm" if normed else f"{name}.{kind}1"
    tensors[f"{part}.bias"] = [1]
    if normed:
        tensors[f"{part}.weight"] = [1]
    return tensors


def model(**changes):
    architecture = {
        "channels": 1,
        "side": 8,
        "encoder": [[1, 4, 2, 1]],
        "latents": 1,
        "discriminator": [1, 1, 1],
        "norm_epsilon": 1e-5,
        "statistics": "per-image",
    }
    preprocessing = {"channels": 1, "height": 8, "width": 6, "side": 8, "fit": "pad"}
    metadata = {"architecture": architecture | changes, "preprocessing": preprocessing}
    metadata["normal"] = {"dataset": "mnist", "class": 8}
    metadata = {key: json.dumps(value) for key, value in metadata.items()}
    return network("encoder1", "conv", False) | network("decoder", "deconv", True) | network("encoder2", "conv", False), metadata


def model_file(name, tensors, metadata):
    header, values = safetensors(tensors, metadata)
    seed("model_file", name, header + b"\0" + values)
    seed("model_file", f"{name}.whole", b"\0" + struct.pack("<Q", len(header)) + header + values)


tensors, metadata = model()
model_file("model", tensors, metadata)
model_file("calibrated", tensors | {"calibration.scores": [3]}, metadata)
tensors, metadata = model(statistics="running")
averages = {f"decoder.deconv1.norm.running_{of}": [1] for of in ("mean", "var")}
model_file("running", tensors | averages, metadata)
model_file("checkpoint", {"clock/step": [1, 1, 1, 1]}, {"stage": "teacher", "seconds_trained": "1.5"})

# Files that change a few settings.
seed("config", "few", b'[training]\nseed = 1\nsteps = 10\nbetas = [0.5, 0.9]\n\n[data]\ndataset = "cifar-10"\n')
seed("config", "dotted", b"distillation.step1.structure=2\nstudent.encoder = [[4, 4, 4, 0], [5, 2, 2, 0]]\n")

picture = Image.new("RGB", (9, 7))
picture.putdata([(10 * x, 20 * y, 60) for y in range(7) for x in range(9)])


def save(name, image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    seed("picture", name, out.getvalue())


for mode in ("RGB", "L", "1", "P", "RGBA", "LA", "I;16"):
    save(f"{mode.replace(';', '')}.png", picture.convert("L").convert(mode) if mode in ("LA", "I;16") else picture.convert(mode), "PNG")
for mode in ("RGB", "L", "1", "P"):
    save(f"{mode}.bmp", picture.convert(mode), "BMP")
for mode in ("RGB", "L", "CMYK"):
    save(f"{mode}.jpg", picture.convert(mode), "JPEG", quality=70)
turned = Image.Exif()
turned[0x0112] = 6
save("turned.jpg", picture, "JPEG", quality=70, exif=turned)
save("progressive.jpg", picture, "JPEG", quality=70, progressive=True)


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/tmp" if kind == tarfile.SYMTYPE else ""
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


record = bytes([3]) + bytes(3072)
good = [("top", tarfile.DIRTYPE, b""), ("top/a.bin", tarfile.REGTYPE, record), ("top/b.bin", tarfile.REGTYPE, record)]
for name, entries in [
    ("good", good),
    ("more", good + [("top/readme.html", tarfile.REGTYPE, b"not wanted"), ("n" * 120, tarfile.REGTYPE, b"")]),
    ("link", good[:1] + [("top/a.bin", tarfile.SYMTYPE, b"")]),
]:
    archive = tar(entries)
    seed("archive", name, b"\2" + archive)
    seed("archive", f"{name}.tar", b"\1" + archive)
    seed("archive", f"{name}.gz", b"\0" + gzip.compress(archive, mtime=0))
