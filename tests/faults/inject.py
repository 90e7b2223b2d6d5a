"""Fails each system call of a short training run on its run folder, once each, with strace.

    python3 tests/faults/inject.py [PKDGAN] [--jobs N] [--error EIO]

A run of tiny networks is recorded first. Then for each recorded call the run starts anew, and strace lets that one call
fail. The run must end with exit code 1 and a message, or go on to the same files. After exit code 1, `train --resume`
must end in the same bytes as the run without a fault. Where no run was begun, the same command does that. The same is done
with a run that was killed half-way and is being resumed. Needs strace and Linux; takes no package.

The runs are in memory where there is a file system for that: on a disk, most of the time goes into flushing files.
"""

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CALLS = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,linkat,mkdir,flock,unlink,unlinkat".split(",")
# All stages, so all kinds of files.
SETTINGS = """
--set=network.generator=[4,6,8] --set=network.discriminator=[4,6,8] --set=network.latents=8
--set=student.encoder=[[4,4,4,0],[5,2,2,0]] --set=student.discriminator=[2,3,4]
--set=distillation.step1={structure=1,batch_size=2,steps=4,learning_rate=2e-3,teacher_learning_rate=1e-4}
--set=distillation.step2.steps=3 --set=distillation.step2.batch_size=2 --batch-size=2 --steps=5 --checkpoint-every=3
""".split()
# What a run leaves that says neither durations nor processes.
SAME = ["config.toml", "model.safetensors", "scores.csv", "teacher.safetensors", "teacher-joint.safetensors"]
SAME += ["student-step1.safetensors", "teacher_scores.csv"]


def small_data(folder):
    """A data set in the shape of MNIST: spots, classes 0 to 9 in turn."""
    folder.mkdir(parents=True)
    for part, count in [("train", 20), ("t10k", 20)]:
        pixels = bytearray()
        for n in range(count):
            y0, x0 = n % 10 * 2 + 4, n // 10 + 10
            pixels += bytes(max(0, 255 - 12 * ((y - y0) ** 2 + (x - x0) ** 2)) for y in range(28) for x in range(28))
        images, labels = (folder / f"{part}-{of}-ubyte" for of in ("images-idx3", "labels-idx1"))
        images.write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels)
        labels.write_bytes(struct.pack(">2I", 0x801, count) + bytes(n % 10 for n in range(count)))


def memory():
    """A folder on a file system in memory; none where there is no such, or no room for a run of each job."""
    place = Path("/dev/shm")
    room = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > 64 << 20
    return place if room else None


class Trial:
    """The program, and folders to run it in."""

    def __init__(self, program, around):
        self.program, self.around = program, around
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(around), "PKDGAN_CACHE": str(around / "cache")}

    def train(self, folder, strace=()):
        """The command that begins a run in `folder`."""
        return self.command(["--device", "cpu", "--data-dir", str(self.around / "data"), "--out", str(folder), *SETTINGS], strace)

    def resume(self, folder, strace=()):
        return self.command(["--resume", str(folder)], strace)

    def command(self, arguments, strace):
        command = [*strace, self.program, "train", "--quiet", *arguments]
        return subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def on_folder(line, folder):
    """The thread and the call, if a line of strace is about something in the folder."""
    found = re.match(r"(?:(\d+) +)?(\w+)\((.*)", line)
    if not found:
        return None
    thread, call, arguments = found.groups()
    # What is written may well begin with a path.
    place = rf"\d+<{re.escape(str(folder))}" if call in ("write", "pwrite64") else rf'.*[<"]{re.escape(str(folder))}'
    return (thread, call) if re.match(place, arguments) else None


def record(run, folder, log):
    """The calls on the folder, each with its place among the calls of its name."""
    ran = run(folder, ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}"])
    if ran.returncode != 0:
        sys.exit(f"a run without faults ends with {ran.returncode}:\n{ran.stderr}")
    made, wanted, main = Counter(), [], None
    for line in log.read_text(errors="replace").splitlines():
        thread = line.split(maxsplit=1)[0]
        main = main or thread
        name = re.match(r"\d+ +(\w+)\(", line)
        if name and thread == main:
            made[name[1]] += 1
        about = on_folder(line, folder)
        if about and thread != main:
            # strace counts each thread's calls by themselves.
            sys.exit(f"a call on the run folder from another thread; count those too:\n{line}")
        if about:
            wanted.append((name[1], made[name[1]], re.sub(r"^\d+ +", "", line)[:150]))
    return wanted


def silent(line):
    """Whether the call may fail without a word: files get names where they cannot be without, the id in the lock is only
    for people, and the configuration is read again before it matters."""
    return "O_TMPFILE" in line or "/.lock" in line or "/config.toml" in line


def files(folder):
    return {name: (folder / name).read_bytes() for name in SAME}


def try_one(trial, run, folder, call, number, error, expected):
    """What came of it, and whether that was right: "went on" or "ended", or None if another call failed."""
    log = folder.with_suffix(".strace")
    # Of the main thread alone, which makes all these calls.
    ran = run(folder, ["strace", "-y", "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"])
    injected = [line for line in log.read_text(errors="replace").splitlines() if line.endswith("(INJECTED)")]
    log.unlink()
    if len(injected) != 1 or not on_folder(injected[0], folder):
        return None, f"another call failed: {injected}"
    if ran.returncode == 0:
        outcome = "went on"
        if not any(str(folder) in line for line in ran.stderr.splitlines()) and not silent(injected[0]):
            return "fault", "went on without a word about it"
    elif ran.returncode == 1 and ran.stderr.strip():
        outcome = "ended"
        begun = (folder / "config.toml").exists()
        again = trial.resume(folder) if begun else trial.train(folder)
        if again.returncode != 0:
            return "fault", f"{'--resume' if begun else 'the same command'} ends with {again.returncode}: {again.stderr}\nafter: {ran.stderr}"
    else:
        return "fault", f"ends with {ran.returncode}: {ran.stderr}"
    try:
        left = files(folder)
    except FileNotFoundError as missing:
        return "fault", f"{outcome}, but {missing}"
    different = [name for name in SAME if left[name] != expected[name]]
    if different:
        return "fault", f"{outcome}, with other bytes of {', '.join(different)}"
    litter = [name for name in os.listdir(folder) if name.startswith(".partial-")]
    if litter:
        return "fault", f"{outcome}, and left {litter}"
    return outcome, ran.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default="target/release/pkdgan")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--error", default="EIO")
    parser.add_argument("--verbose", action="store_true", help="show what each run said")
    arguments = parser.parse_args()
    began = time.monotonic()

    with tempfile.TemporaryDirectory(prefix="pkdgan-faults-", dir=memory()) as around:
        around = Path(around).resolve()
        small_data(around / "data" / "mnist")
        trial = Trial(str(Path(arguments.program).resolve()), around)

        whole = around / "whole"
        new = record(trial.train, whole, around / "log")
        expected = files(whole)
        # Half of a run: it ends as if by kill -9 when it flushes a file for the so-manieth time.
        half = around / "half"
        flushes = sum(call == "fsync" for call, _, _ in new)
        kill = ["-e", "trace=fsync", "-e", f"inject=fsync:signal=KILL:when={flushes // 2}"]
        killed = trial.train(half, ["strace", "-o", str(around / "log"), *kill])
        if killed.returncode == 0 or not (half / "checkpoint.safetensors").exists():
            sys.exit(f"the run to be resumed was not killed half-way:\n{killed.stderr}")

        def resume_half(folder, strace=()):
            shutil.copytree(half, folder)
            return trial.resume(folder, strace)

        resumed = record(resume_half, around / "resumed", around / "log")
        if files(around / "resumed") != expected:
            sys.exit("a killed run ends in other bytes without any fault")

        trials = [("train", trial.train, *one) for one in new] + [("resume", resume_half, *one) for one in resumed]

        def one(numbered):
            place, (kind, run, call, number, line) = numbered
            folder = around / f"run-{place}"
            try:
                outcome, said = try_one(trial, run, folder, call, number, arguments.error, expected)
            except subprocess.TimeoutExpired:
                outcome, said = "fault", "it does not end"
            shutil.rmtree(folder, ignore_errors=True)
            return kind, call, line, outcome, said

        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = list(pool.map(one, enumerate(trials)))

    counts, bad = Counter(), 0
    for kind, call, line, outcome, said in results:
        counts[kind, call, outcome] += 1
        if outcome in (None, "fault"):
            bad += 1
        if outcome in (None, "fault") or arguments.verbose:
            print(f"{kind}: {line}\n    {outcome or 'not tried'}: {said.strip()}")
    for kind in ("train", "resume"):
        for call in CALLS:
            of = {outcome: counts[kind, call, outcome] for outcome in ("ended", "went on", "fault", None)}
            if any(of.values()):
                print(f"{kind:7} {call:10} {sum(of.values()):4} injected: {of['ended']} ended and were resumed, {of['went on']} went on")
    print(f"{len(results)} injections of {arguments.error} in {time.monotonic() - began:.0f} s, {bad} of them wrong")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
