#!/usr/bin/env python3
"""Times `pkdgan.ray.score` with one node and with two, and says what the driver's process holds in memory.

    pip install './python[ray]'
    python python/benches/ray_score.py [--rows 1000000] [--nodes 1,2]

Each node is a Ray node of one CPU on this machine, with one actor, and its processes keep to one core. The images are
MNIST's test images, repeated; tasks of Ray make them, so the driver never has them. Rows go to Parquet. A first, short
job starts workers and is not timed. Nothing else should run on the machine.
"""

import argparse
import gzip
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "web" / "model.safetensors"


class Images:
    """MNIST's test images, by their number."""

    def __init__(self, file):
        self.file = file

    def __call__(self, batch):
        images = np.load(self.file, mmap_mode="r")
        return {"id": batch["id"], "image": images[batch["id"] % len(images)]}


def resident():
    """MiB of this process in memory, but for those that it shares with Ray's object store; and the most so far."""
    found = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kib = {name: int(found[name].split()[0]) for name in ("VmRSS", "RssShmem", "VmHWM")}
    return (kib["VmRSS"] - kib["RssShmem"]) / 1024, kib["VmHWM"] / 1024


class Watch:
    """The most that the process holds while it works."""

    def __enter__(self):
        self.most, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.ended.wait(0.2):
            self.most = max(self.most, resident()[0])

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def measure(nodes, sizes, folder):
    import pyarrow.dataset
    import ray
    from ray.cluster_utils import Cluster

    import pkdgan.ray

    node = dict(num_cpus=1, object_store_memory=500_000_000, include_dashboard=False)
    cores = sorted(os.sched_getaffinity(0))
    # What a process starts keeps to the same core.
    cluster = Cluster()
    for core in cores[:nodes]:
        os.sched_setaffinity(0, {core})
        cluster.add_node(**node)
    os.sched_setaffinity(0, {cores[0]})
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    for name, rows in [("warm", 2000 * nodes), *((str(rows), rows) for rows in sizes)]:
        output = Path(folder, f"{nodes}-{name}")
        dataset = ray.data.range(rows, override_num_blocks=max(2 * nodes, rows // 25_000))
        dataset = dataset.map_batches(Images(Path(folder, "images.npy")), batch_size=5000)
        before = resident()[0]
        begun = time.perf_counter()
        with Watch() as watch:
            pkdgan.ray.score(dataset, MODEL, keep=["id"], batch_size=5000, output=output)
        seconds = time.perf_counter() - begun
        written = pyarrow.dataset.dataset(output).count_rows()
        assert written == rows, (written, rows)
        if name != "warm":
            cells = f"{rows:,} | {seconds:.1f} | {rows / seconds:,.0f} | {before:.0f} | {watch.most:.0f}"
            print(f"| {nodes} | {cells} |", flush=True)
    ray.shutdown()
    cluster.shutdown()
    os.sched_setaffinity(0, cores)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="100000,1000000", help="images, in turn [default: 100000,1000000]")
    parser.add_argument("--nodes", default="1,2", help="[default: 1,2]")
    given = parser.parse_args()
    # Ray's workers step back behind all others by default.
    os.environ["RAY_worker_niceness"] = "0"
    with gzip.open(ROOT / "data" / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    print("| nodes | rows | seconds | rows a second | driver before, MiB | driver's most, MiB |\n" + "|---" * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "images.npy"), images)
        for nodes in map(int, given.nodes.split(",")):
            measure(nodes, [int(rows) for rows in given.rows.split(",")], folder)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nmost of the whole process, shared memory with it: {most:.0f} MiB")


if __name__ == "__main__":
    main()
