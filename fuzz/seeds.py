"""Writes the seeds of the fuzz targets, small good inputs, into corpus/. Needs Pillow.

    python3 fuzz/seeds.py

corpus/config/complete is the config.toml of a run.
"""

import gzip
import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

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

# Files as NumPy and pyarrow write them, whole and taken apart as the target puts them together again.
for path in sorted((Path(__file__).parent.parent / "tests" / "data" / "image_files").iterdir()):
    content = path.read_bytes()
    if path.suffix in (".npy", ".npz", ".parquet"):
        seed("image_file", path.name, b"\0" + content)
    if path.suffix == ".npy" and content[6] == 1:
        length = struct.unpack("<H", content[8:10])[0]
        apart = content[10 : 10 + length] + b"\0" + content[10 + length :]
        for kind in (1, 2, 3):
            seed("image_file", f"{path.stem}.{kind}", bytes([kind]) + apart)
    if path.suffix == ".parquet":
        end = len(content) - 8
        pages = end - struct.unpack("<I", content[end : end + 4])[0]
        seed("image_file", f"{path.stem}.apart", b"\4" + struct.pack("<H", pages - 4) + content[4:end])
seed("image_file", "idx", b"\0" + idx(2, 3, 4))

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
    # Without checksum, as programs other than pkdgan write them: mutations would not find it again.
    metadata["format"] = "pkdgan-ede-gan-1"
    return network("encoder1", "conv", False) | network("decoder", "deconv", True) | network("encoder2", "conv", False), metadata


def version_2(metadata):
    """The same, with what version 2 says of the layers and the score, as src/model/description.rs does."""
    architecture = json.loads(metadata["architecture"])
    encoder, count = architecture["encoder"], len(architecture["encoder"]) + 1
    leaky = ["leaky_relu", 0.2]
    down = [[f"conv{n}", "conv", stride, padding, n > 1, *leaky] for n, (_, _, stride, padding) in enumerate(encoder, 1)]
    up = [
        [f"deconv{count + 1 - n}", "conv_transpose", stride, padding, n > 1, "relu" if n > 1 else "tanh"]
        for n, (_, _, stride, padding) in enumerate([*encoder, (0, 0, 1, 0)], 1)
    ]
    halvings = len(architecture["discriminator"])
    judging = [[f"conv{n}", "conv", 2, 1, n > 1, *leaky] for n in range(1, halvings + 1)]
    networks = {
        "layer": ["name", "kind", "stride", "padding", "norm", "activation", "slope"],
        "encoder": [*down, [f"conv{count}", "conv", 1, 0, False, "none"]],
        "decoder": up[::-1],
        "discriminator": [*judging, [f"conv{halvings + 1}", "conv", 1, 0, False, "none"]],
    }
    score = {
        "z1": "unit_rms(encoder1(x))",
        "z2": "unit_rms(encoder2(decoder(z1)))",
        "score": "sqrt(sum((z1 - z2)^2))",
        "unit_rms": "v * sqrt(n) / max(sqrt(sum(v^2)), least_norm)",
        "least_norm": 1e-6,
        "p_value": "(1 + count(calibration.scores >= score)) / (1 + count(calibration.scores))",
    }
    more = {"format": "pkdgan-ede-gan-2", "networks": json.dumps(networks), "score": json.dumps(score)}
    return metadata | more


def model_file(name, tensors, metadata):
    header, values = safetensors(tensors, metadata)
    for target in ("model_file", "onnx"):
        seed(target, name, header + b"\0" + values)
        seed(target, f"{name}.whole", b"\0" + struct.pack("<Q", len(header)) + header + values)


tensors, metadata = model()
model_file("model", tensors, metadata)
model_file("calibrated", tensors | {"calibration.scores": [3]}, metadata)
model_file("version2", tensors | {"calibration.scores": [3]}, version_2(metadata))
model_file("tanh", *model(latent_constraint="tanh"))
tensors, metadata = model(statistics="running")
averages = {f"decoder.deconv1.norm.running_{of}": [1] for of in ("mean", "var")}
model_file("running", tensors | averages, metadata)
model_file("checkpoint", {"clock/step": [1, 1, 1, 1]}, {"stage": "teacher", "seconds_trained": "1.5"})

# Files that change a few settings.
seed("config", "few", b'[training]\nseed = 1\nsteps = 10\nbetas = [0.5, 0.9]\n\n[data]\ndataset = "cifar-10"\n')
seed("config", "dotted", b"distillation.step1.structure=2\nstudent.encoder = [[4, 4, 4, 0], [5, 2, 2, 0]]\n")

def log_line(stage, step, **figures):
    return json.dumps({"stage": stage, "step": step, **figures}).encode() + b"\n"


log = [log_line("teacher", 10, loss=0.5, seconds=1.5), log_line("teacher", 20, loss=None), log_line("step1", 5, loss=1e-7)]
for name, content in [
    ("whole", b"".join(log[:2])),
    ("next", b"".join(log)),
    ("half", b"".join(log)[:-9]),
    ("zeros", log[0] + bytes(40) + b"\n" + log[1]),
    ("no_text", log[0] + b'{"stage":"\xff\xfe"}\n'),
    ("before", b"no line\n" + log[0]),
]:
    seed("metrics_log", name, bytes([10]) + content)

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


def headers(*blocks):
    """An archive of raw headers, for what tarfile does not write."""
    return b"".join(block + content + bytes(-len(content) % 512) for block, content in blocks) + bytes(1024)


def header(name, kind=b"0", content=b"", size=None, link=b""):
    digits = b"%011o" % len(content) if size is None else size
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + digits.ljust(12, b"\0") + b"00000000000\0" + b" " * 8
    block += kind + link.ljust(100, b"\0") + b"ustar\x0000"
    return block.ljust(512, b"\0"), content


a, b = (header(f"top/{name}.bin".encode(), content=record) for name in "ab")
for name, blocks in {
    "above": [header(b"top/../../a.bin", content=record), b],
    "absolute": [header(b"/tmp/a.bin", content=record), b],
    "hard_link": [a, header(b"top/b.bin", b"1", link=b"top/a.bin")],
    "device": [a, header(b"top/b.bin", b"3")],
    "pipe": [a, header(b"top/b.bin", b"6")],
    "twice": [a, a, b],
    "huge": [header(b"top/a.bin", content=record, size=b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7), b],
    "negative": [header(b"top/a.bin", content=record, size=b"\xff" * 12), b],
    "sparse": [header(b"top/a.bin", b"S", record), b],
    "long_name": [header(b"././@LongLink", b"L", b"top/../../b.bin\0"), a, b],
    "renamed": [header(b"pax", b"x", b"27 path=top/../../../a.bin\n"), a, b],
    "resized": [header(b"pax", b"x", b"24 size=99999999999999\n"), a, b],
    "many": [header(b"top/note")] * 70 + [a, b],
    "fits": [a, b],
}.items():
    seed("archive", name, b"\2" + headers(*blocks))
packed = gzip.compress(tar(good), mtime=0)
seed("archive", "members.gz", b"\0" + packed + packed)
seed("archive", "cut.gz", b"\0" + packed[:-5])
seed("archive", "bomb.gz", b"\0" + gzip.compress(bytes(1 << 24), mtime=0))

# Last, and with the only package: the others can be made without it.
from PIL import Image  # noqa: E402

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
save("passes-grey.jpg", picture.convert("L"), "JPEG", quality=70, progressive=True)
save("restarts.jpg", picture, "JPEG", quality=70, restart_marker_blocks=1)
for mode in ("RGB", "L", "1", "RGBA", "LA", "I;16", "CMYK"):
    grey = mode in ("LA", "I;16")
    save(f"{mode.replace(';', '')}.tif", (picture.convert("L") if grey else picture).convert(mode), "TIFF")
for packing in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
    save(f"{packing}.tif", picture, "TIFF", compression=packing)
save("pages.tif", picture, "TIFF", save_all=True, append_images=[picture.rotate(90)])
for mode in ("RGB", "RGBA"):
    save(f"{mode}.webp", picture.convert(mode), "WEBP", quality=60)
    save(f"{mode}-lossless.webp", picture.convert(mode), "WEBP", lossless=True)
save("frames.webp", picture, "WEBP", save_all=True, append_images=[picture.rotate(180)])
save("turned.webp", picture, "WEBP", exif=turned)
save("one.gif", picture, "GIF")
save("frames.gif", picture, "GIF", save_all=True, append_images=[picture.rotate(180)])
for mode in ("RGB", "L", "1"):
    save(f"{mode}.pnm", picture.convert(mode), "PPM")
seed("picture", "plain.pgm", b"P2 2 2 4095 0 1 2048 4095")
seed("picture", "alpha.pam", b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\1\2\3\4")
save("turned.png", picture, "PNG", exif=turned)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


exif = turned.tobytes().removeprefix(b"Exif\0\0").hex().encode()
profile = b"\nexif\n%8d\n" % (len(exif) // 2) + exif + b"\n"
whole = (CORPUS / "picture" / "RGB.png").read_bytes()
for name, text in [
    ("profile.png", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))),
    ("profile-plain.png", chunk(b"tEXt", b"Raw profile type exif\0" + profile)),
]:
    seed("picture", name, whole[:-12] + text + whole[-12:])
seed("picture", "cut.jpg", (CORPUS / "picture" / "RGB.jpg").read_bytes()[:-40])
