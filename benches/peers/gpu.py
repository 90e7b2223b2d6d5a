#!/usr/bin/env python3
"""Times PyTorch on CUDA, onnxruntime's CUDA provider and Burn on wgpu beside pkdgan on the same GPU. benches/gpu/run.sh starts
it after its own part, in a folder of pack.sh. It adds rows to results.json, under `peers`, and a table to results.md.

A rehearsal without a GPU, with a results.json and a results.md in RESULTS:

    python benches/peers/gpu.py --programs FOLDER --out RESULTS --device cpu --small

Every peer runs in a process of its own. A peer that fails, hangs or crashes has rows that say so.
"""

import argparse
import collections
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from programs import Burn, Conversation, Failed, Ours, run, same_work, write_start

# How the steps of PyTorch run, as torch_steps has it.
TORCH = {"PyTorch eager": "eager", "PyTorch CUDA graph": "graph", "PyTorch torch.compile": "compile"}
ONNX, BURN = "onnxruntime", "Burn wgpu"
# Compiling takes long, so what it has no time for is left out last.
SLOW = "PyTorch torch.compile"
# In the order of need: what comes last is left out first. Burn's program has no discriminator.
CASES = (("teacher-gan", 1), ("teacher-scoring", 1), ("teacher-gan", 64), ("teacher-scoring", 512), ("distillation", 16),
         ("student-gan", 16), ("teacher-gan", 8), ("teacher-gan", 512), ("teacher-scoring", 64))
BURN_CASES = (("teacher-generator", 1), ("teacher-generator", 64))
# What shows that a library is there and can use the GPU. Others that it needs are imported too.
PROBES = {
    "torch": "import torch, numpy, safetensors.torch; print(torch.cuda.is_available())",
    "onnxruntime": "import onnxruntime as o, numpy, safetensors; print('CUDAExecutionProvider' in o.get_available_providers())",
}
# Time for one measurement or one start, and the time that must be left for one, in seconds.
LIMIT, COMPILE_LIMIT, LEAST = 45, 90, 5
# Failures after which a peer is not tried again.
TRIES = 2


class Served:
    """A library in a process of its own, which is started again after a failure."""

    def __init__(self, name, arguments, variables, log):
        self.command = [sys.executable, __file__, "--serve", name, *map(str, arguments)]
        self.variables, self.log = variables, log
        self.limit = COMPILE_LIMIT if name == SLOW else LIMIT
        self.conversation = self.versions = None
        self.start()

    def start(self):
        self.conversation, self.versions = Conversation(self.command, self.variables, self.log), None

    def ready(self, left):
        if self.conversation is None:
            self.start()
        if self.versions is None:
            self.versions = self.conversation.answer(min(self.limit, left))

    def measure(self, work, batch, seconds, left):
        started = time.monotonic()
        self.ready(left)
        left -= time.monotonic() - started
        answer = self.conversation.ask(json.dumps([work, batch, seconds]), min(self.limit, max(left, 0)))
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def end(self):
        if self.conversation is not None:
            self.conversation.end()
            self.conversation = None


class BurnProgram:
    """Burn's program: a process for each measurement."""

    def __init__(self, executable, folder, device, log):
        self.executable, self.folder, self.backend, self.log = executable, folder, "wgpu" if device == "cuda" else "flex", log
        self.burn = self.versions = None

    def ready(self, left):
        pass

    def measure(self, work, batch, seconds, left):
        self.burn = Burn(self.executable, self.folder, work, batch, self.backend, limit=min(LIMIT, left), errors=self.log)
        median, p95 = self.burn.measure(seconds)
        answer = {"median_ms": median, "p95_ms": p95, "losses": self.burn.losses} | self.burn.facts
        self.end()
        return answer

    def end(self):
        if self.burn is not None:
            self.burn.conversation.end()
            self.burn = None


def serve(name, folder, device):
    """Answers, for each line with work, batch size and seconds, with a measurement or an error."""
    # What libraries print is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        print(json.dumps(value), file=answers, flush=True)

    if name == ONNX:
        import onnxruntime
        from onnx_scoring import CPU, CUDA, Onnx

        def build(work, batch):
            return Onnx(folder, batch, provider=CUDA if device == "cuda" else CPU)

        answer({"onnxruntime": onnxruntime.__version__})
    else:
        import torch
        import torch_steps

        def build(work, batch):
            timed = torch_steps.build(folder, work, batch, True, device, TORCH[name])
            timed.facts = {"device": torch.cuda.get_device_name() if device == "cuda" else "CPU"}
            timed.losses = timed.losses()
            return timed

        answer({"torch": torch.__version__, "CUDA": torch.version.cuda})
    for line in sys.stdin:
        work, batch, seconds = json.loads(line)
        try:
            timed = build(work, batch)
            median, p95 = timed.measure(seconds)
            answer({"median_ms": median, "p95_ms": p95, "losses": timed.losses} | timed.facts)
        except Exception as error:
            traceback.print_exc()
            answer({"error": f"{type(error).__name__}: {error}".partition("\n")[0]})
        timed = None
        gc.collect()
        if name != ONNX and device == "cuda":
            torch.cuda.empty_cache()


def find(programs, device):
    """The libraries that are there. A line says why others are not."""
    found, missing = [], []
    for library, probe in PROBES.items():
        try:
            done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            missing.append(f"{library} that starts")
            continue
        if done.returncode != 0:
            missing.append(f"{library} ({(done.stderr.splitlines() or ['it ended'])[-1]})")
        elif device == "cuda" and done.stdout.split()[-1:] != ["True"]:
            missing.append(f"{library} with CUDA")
        else:
            found.append(library)
    if (programs / "peer-burn").exists():
        found.append("burn")
    else:
        missing.append("packed program of Burn's")
    if sys.version_info < (3, 10):
        found, missing = [], ["Python 3.10 or newer"]
    if missing:
        what = ", ".join(f"no {it}" for it in missing)
        print(f"peers are left out: {what}. Python is {sys.executable}; PKDGAN_PYTHON names another", file=sys.stderr)
    return found


def cuda_device(adapter):
    """Variables that choose the GPU with the adapter's name, where CUDA has several."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return {}
    try:
        listed = run(["nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader"], limit=10)
    except Failed:
        return {}
    for index, _, name in (line.partition(", ") for line in listed.splitlines()):
        if name in adapter or adapter in name:
            return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": index}
    return {}


def plan(found, small):
    """Each case with each peer that can do it."""
    quick = [name for name in TORCH if name != SLOW and "torch" in found] + [ONNX] * ("onnxruntime" in found)
    cases = CASES[:2] if small else CASES
    planned = [(case, name) for case in cases for name in quick if name != ONNX or case[0] == "teacher-scoring"]
    if "burn" in found:
        planned += [(case, BURN) for case in (BURN_CASES[:1] if small else BURN_CASES)]
    return planned + [(case, SLOW) for case in cases if "torch" in found]


class Measurement:
    """What is measured within the time, one after the other."""

    def __init__(self, options, folder, logs):
        self.end = time.monotonic() + options.seconds
        self.options, self.folder, self.logs = options, folder, logs
        self.seconds = 0.05 if options.small else 0.5
        self.variables = {"PKDGAN_BENCH_ADAPTER": options.adapter, "PKDGAN_CACHE": str(options.out.absolute() / "cache")}
        self.peers, self.ours_by_case, self.failures = {}, {}, collections.Counter()

    def left(self):
        return self.end - time.monotonic()

    def run(self, adapter, found):
        """Versions and rows."""
        if self.left() < LEAST:
            raise Failed("no time is left")
        programs = self.options.programs
        write_start(programs / "training_bench", programs / "pkdgan", self.folder, "onnxruntime" in found,
                    variables=self.variables, limit=self.left(), errors=self.logs("pkdgan"))
        planned = plan(found, self.options.small)
        try:
            self.start(dict.fromkeys(name for _, name in planned), adapter)
            rows = []
            for (work, batch), name in planned:
                print(f"{work}, batch {batch}: {name}", file=sys.stderr)
                rows.append({"work": work, "batch": batch, "peer": name} | self.row(work, batch, name))
            versions = {"Python": platform.python_version()}
            for peer in self.peers.values():
                versions |= peer.versions or {}
            return {"versions": versions, "rows": rows}
        finally:
            for peer in self.peers.values():
                peer.end()

    def start(self, names, adapter):
        """Starts all at once. None starts while another is timed."""
        device, folder = self.options.device, self.folder
        variables = cuda_device(adapter) if device == "cuda" else {}
        for name in names:
            log = self.logs(name)
            if name == BURN:
                self.peers[name] = BurnProgram(self.options.programs / "peer-burn", folder, device, log)
            else:
                self.peers[name] = Served(name, ["--folder", folder, "--device", device], variables, log)
        for name in names:
            try:
                self.attempt(name, lambda peer: peer.ready(self.left()))
            except Failed as error:
                print(f"{name}: {error}", file=sys.stderr)

    def attempt(self, name, what):
        """Does something with a peer. Ends the peer's process if that fails."""
        try:
            return what(self.peers[name])
        except Exception as error:
            self.failures[name] += 1
            self.peers[name].end()
            raise Failed(str(error) or type(error).__name__) from error

    def ours(self, work, batch):
        """pkdgan's measurement, made once."""
        if (work, batch) not in self.ours_by_case:
            bench = Ours(self.options.programs / "training_bench", work, batch, "gpu" if self.options.device == "cuda" else "cpu",
                         self.variables, limit=min(LIMIT, self.left()), errors=self.logs("pkdgan"))
            try:
                median, p95 = bench.measure(self.seconds)
                measured = {"median_ms": median, "p95_ms": p95, "losses": bench.losses} | bench.facts
            except Failed as error:
                measured = {"error": str(error)}
            self.ours_by_case[work, batch] = measured
        return self.ours_by_case[work, batch]

    def row(self, work, batch, name):
        """A peer's measurement beside ours, or why there is none."""
        if self.left() < LEAST:
            return {"status": "left out: no time"}
        if self.failures[name] >= TRIES:
            return {"status": f"left out: it failed {TRIES} times"}
        row = {"status": "ok", "ours": self.ours(work, batch)}
        try:
            row["theirs"] = self.attempt(name, lambda peer: peer.measure(work, batch, self.seconds, self.left()))
            if "error" in row["ours"]:
                raise Failed(f"pkdgan: {row['ours']['error']}")
            mine, theirs = row["ours"]["losses"], row["theirs"]["losses"]
            # onnxruntime takes other pixels.
            if theirs is not None:
                row["differences"] = same_work(work, mine, theirs)
            row["ratio"] = row["ours"]["median_ms"] / row["theirs"]["median_ms"]
            # Losses are told where something is wrong.
            for side in ("ours", "theirs"):
                row[side] = {key: value for key, value in row[side].items() if key != "losses"}
        except Failed as error:
            row["status"] = str(error)
        return row


def table(peers, adapter):
    """The rows for a person: a part of a page in Markdown."""
    text = "\n## peers\n\n"
    if peers["status"] != "ok":
        return f"{text}{peers['status']}\n"
    text += ", ".join(f"{name} {version}" for name, version in peers["versions"].items() if version)
    text += (".\nA ratio is pkdgan's time divided by the peer's: below 1 pkdgan is faster. All compute in single precision,\n"
             "without TF32. pkdgan takes its default kernels, not those of `tune`. Times of scoring include the copies of images\n"
             "and scores between host and device.\n\n"
             "| work | batch | pkdgan, ms | peer | ms | ratio | outcome |\n|---|---|---|---|---|---|---|\n")
    number = lambda value: "–" if value is None else f"{value:.4g}"
    for row in peers["rows"]:
        mine, theirs = row.get("ours", {}), row.get("theirs", {})
        device = theirs.get("device")
        on = f" on {device}" if device and device not in adapter else ""
        status = row["status"].replace("|", "/").replace("\n", " ")
        text += (f"| {row['work']} | {row['batch']} | {number(mine.get('median_ms'))} | {row['peer']}{on} "
                 f"| {number(theirs.get('median_ms'))} | {number(row.get('ratio'))} | {status} |\n")
    return text


def merge(out, results, peers):
    """Adds the rows to both files. Each is replaced as a whole, when both are written."""
    results["peers"] = peers
    part = table(peers, results["adapter"] or "")
    page = (out / "results.md").read_text("utf-8") + part
    texts = {"results.json": json.dumps(results, indent=2, ensure_ascii=False), "results.md": page}
    for name, text in texts.items():
        (out / f"{name}.part").write_text(text, "utf-8")
    for name in texts:
        os.replace(out / f"{name}.part", out / name)
    print(part)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("--find", action="store_true", help="only print which peers are there")
    parser.add_argument("--peers", help="which peers are there, as --find prints it [default: those that it finds]")
    parser.add_argument("--programs", type=Path, help="folder of pkdgan's programs")
    parser.add_argument("--out", type=Path, default="gpu-results", help="folder of results.json and results.md")
    parser.add_argument("--adapter", default="0", help="adapter by number or part of its name")
    parser.add_argument("--seconds", type=float, default=180, help="time for all of it [default: 180]")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal [default: cuda]")
    parser.add_argument("--small", action="store_true", help="two cases, short times: a rehearsal")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    # Other options of run.sh are for its other part.
    options, _ = parser.parse_known_args()
    if options.serve:
        return serve(options.serve, options.folder, options.device)
    started = time.monotonic()
    found = options.peers.split() if options.peers else find(options.programs, options.device)
    if options.find:
        print(*found)
    if options.find or not found:
        return 0 if found else 1
    options.seconds -= time.monotonic() - started
    results = json.loads((options.out / "results.json").read_text("utf-8"))
    (options.out / "logs").mkdir(exist_ok=True)

    def logs(name):
        return open(options.out / "logs" / f"peer {name}.err".replace(" ", "-"), "ab")

    try:
        with tempfile.TemporaryDirectory() as folder:
            peers = {"status": "ok"} | Measurement(options, Path(folder), logs).run(results["adapter"] or "", found)
    except Exception as error:
        traceback.print_exc()
        peers = {"status": f"failed: {error}", "rows": []}
    merge(options.out, results, peers | {"seconds": time.monotonic() - started})


if __name__ == "__main__":
    sys.exit(main())
