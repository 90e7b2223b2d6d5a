#!/usr/bin/env python3
"""Trains on a few and on many pictures, and prints what the number of pictures costs.

    measure.py PKDGAN FOLDER MANY [FEW] [STEPS] [-- MORE ARGUMENTS OF train]

Makes FEW (600) and MANY pictures of 128x128 below FOLDER with generate.py, trains a teacher of FEW, of MANY, again of MANY,
and of FEW once more, and deletes nothing. Decoded pictures go to FOLDER/cache. The figures of each run: seconds until its
first step, steps a second from there, peak resident memory.
"""

import json
import os
import shutil
import subprocess
import sys
import time


def train(pkdgan, folder, pictures, steps, more):
    out = os.path.join(folder, "run")
    shutil.rmtree(out, ignore_errors=True)
    command = [pkdgan, "train", "--images", os.path.join(folder, str(pictures)), "--size", "128", "--stage", "teacher"]
    command += ["--steps", str(steps), "--out", out, "--no-tune", "--progress", "json", "--calibration", "0.01"]
    environment = {**os.environ, "PKDGAN_CACHE": os.path.join(folder, "cache")}
    began = time.monotonic()
    first = None
    process = subprocess.Popen(command + more, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, text=True)
    for line in process.stderr:
        if line.startswith("{"):
            if json.loads(line)["event"] == "first_step":
                first = time.monotonic() - began
        else:
            print(line, end="")
    if process.wait() != 0:
        sys.exit("it failed")
    with open(os.path.join(out, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    return {
        "pictures": pictures,
        "first step, s": round(first, 1),
        "steps a second": round(1 / report["seconds_per_step"], 3),
        "peak resident, MiB": report["peak_rss_bytes"] >> 20,
        "in all, s": round(time.monotonic() - began, 1),
    }


def main():
    arguments, more = sys.argv[1:], []
    if "--" in arguments:
        place = arguments.index("--")
        arguments, more = arguments[:place], arguments[place + 1 :]
    pkdgan, folder, many = os.path.abspath(arguments[0]), arguments[1], int(arguments[2])
    few = int(arguments[3]) if len(arguments) > 3 else 600
    steps = int(arguments[4]) if len(arguments) > 4 else 40
    generate = os.path.join(os.path.dirname(os.path.abspath(__file__)), "generate.py")
    for count in (few, many):
        if not os.path.isdir(os.path.join(folder, str(count))):
            subprocess.run([sys.executable, generate, os.path.join(folder, str(count)), str(count)], check=True)
    # What was changed a moment ago is not kept.
    time.sleep(4)
    for pictures in (few, many, many, few):
        print(json.dumps(train(pkdgan, folder, pictures, steps, more)), flush=True)


if __name__ == "__main__":
    main()
