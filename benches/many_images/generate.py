#!/usr/bin/env python3
"""Makes a folder of colour pictures, each different: windows of one texture, each with a brightness of its own.

    generate.py FOLDER COUNT [SIDE]

Files are PNG, `000/000000.png` and so on, 1,000 a folder. Standard library only, on all cores.
"""

import math
import multiprocessing
import os
import random
import struct
import sys
import zlib

TEXTURE = 1024


def texture():
    """Rows of a texture with some structure and some noise, three bytes a pixel."""
    noise = random.Random(1)
    waves = [[100 + 60 * math.sin(place / step) for place in range(TEXTURE)] for step in (9, 23, 41)]
    rows = []
    for y in range(TEXTURE):
        row = bytearray()
        for x in range(TEXTURE):
            grain = noise.getrandbits(1)
            row += bytes(int((wave[x] + wave[y]) / 2) + grain for wave in waves)
        rows.append(bytes(row))
    return rows


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write(folder, rows, first, end, side):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    for number in range(first, end):
        draw = random.Random(number)
        left, top = draw.randrange(TEXTURE - side), draw.randrange(TEXTURE - side)
        shift = draw.randrange(60)
        brighter = bytes(min(value + shift, 255) for value in range(256))
        lines = (b"\0" + rows[top + y][3 * left : 3 * (left + side)].translate(brighter) for y in range(side))
        inside = os.path.join(folder, f"{number // 1000:03}")
        os.makedirs(inside, exist_ok=True)
        with open(os.path.join(inside, f"{number:06}.png"), "wb") as out:
            out.write(b"\x89PNG\r\n\x1a\n" + header)
            out.write(chunk(b"IDAT", zlib.compress(b"".join(lines), 1)) + chunk(b"IEND", b""))


def main():
    folder, count = sys.argv[1], int(sys.argv[2])
    side = int(sys.argv[3]) if len(sys.argv) > 3 else 128
    rows = texture()
    with multiprocessing.Pool() as pool:
        parts = [(folder, rows, first, min(first + 1000, count), side) for first in range(0, count, 1000)]
        pool.starmap(write, parts, chunksize=1)


if __name__ == "__main__":
    main()
