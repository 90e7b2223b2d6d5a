"""Programs that are timed: pkdgan's bench and Burn, each in a process of its own. And what measurements of all peers share."""

import json
import os
import select
import signal
import subprocess
import time

# Largest relative difference of a loss, before updates and after.
FIRST, LATER = 1e-4, 1e-2


class Failed(Exception):
    """Something that was to be timed failed."""


def run(command, variables=None, limit=None, errors=None):
    """What a command prints. Ends it after `limit` seconds."""
    try:
        done = subprocess.run(command, env=os.environ | (variables or {}), stdout=subprocess.PIPE, stderr=errors, text=True,
                              timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]}: ended after {limit:.0f} s") from None
    except OSError as error:
        raise Failed(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit status {done.returncode}")
    return done.stdout


def write_start(bench, pkdgan, folder, onnx, **options):
    """Writes what all begin with: model files, images, settings, and the teacher as ONNX."""
    run([bench, "--write-start", folder], **options)
    if onnx:
        run([pkdgan, "export", folder / "teacher.safetensors", "--format", "onnx", "--out", folder / "teacher.onnx"],
            **({"errors": subprocess.DEVNULL} | options))


class Ours:
    """A process for each measurement."""

    def __init__(self, executable, work, batch, device, variables, **options):
        self.command = [executable, "--work", work, "--batch", str(batch), "--device", device, "--json", "--seconds"]
        self.variables, self.options = variables, options
        self.losses = self.facts = None

    def measure(self, seconds):
        measured = json.loads(run([*self.command, str(seconds)], self.variables, **self.options))
        self.losses = measured["losses"]
        self.facts = {key: measured[key] for key in ("device", "macs", "dispatches", "outside_convolutions", "loading_s")}
        return measured["median_ms"], measured["p95_ms"]


class Conversation:
    """A process that answers each line of its input by a line of JSON."""

    def __init__(self, command, variables=None, errors=None):
        # A session of its own, so that it ends together with the processes that it started.
        self.process = subprocess.Popen(command, env=os.environ | (variables or {}), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=errors, bufsize=0, start_new_session=True)
        self.unread = b""

    def ask(self, question, limit=None):
        try:
            self.process.stdin.write(f"{question}\n".encode())
        except BrokenPipeError:
            pass
        return self.answer(limit)

    def answer(self, limit=None):
        end = None if limit is None else time.monotonic() + limit
        while b"\n" not in self.unread:
            left = None if end is None else max(end - time.monotonic(), 0)
            if not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f"no answer within {limit:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                raise Failed(f"{self.process.args[0]}: ended with exit status {self.process.wait()}")
            self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        return json.loads(line)

    def end(self):
        """Ends it at once."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Burn:
    """A process that goes on over all rounds: it tunes its kernels as it begins."""

    def __init__(self, executable, folder, work, batch, backend, threads=None, limit=None, errors=None):
        command = [executable, folder, work.partition("-")[0], str(batch), backend]
        variables = {} if threads is None else {"RAYON_NUM_THREADS": str(threads)}
        self.limit, self.conversation = limit, Conversation(command, variables, errors)
        try:
            first = self.conversation.answer(limit)
        except Failed:
            self.conversation.end()
            raise
        self.losses, self.facts = first["losses"], {"device": first["device"]}

    def measure(self, seconds):
        measured = self.conversation.ask(seconds, self.limit)
        return measured["median_ms"], measured["p95_ms"]


def same_work(work, ours, theirs):
    """The largest relative differences of losses, before and after updates, where they are small enough."""
    steps = [
        [abs(a - b) / max(abs(a), 1e-6) for a, b in zip(mine, others, strict=True)]
        for mine, others in zip(ours, theirs, strict=True)
    ]
    first, later = steps[0], sum(steps[1:], [])
    if work.endswith("-gan"):
        # The adversarial loss comes after the discriminator's update.
        later.append(first.pop())
    differences = max(first), max(later, default=0.0)
    # A maximum may pass over what is no number.
    if not (all(it <= FIRST for it in first) and all(it <= LATER for it in later)):
        raise Failed("losses differ by {:.1e}, after updates by {:.1e}: not the same work".format(*differences))
    return differences
