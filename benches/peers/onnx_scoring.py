"""Scoring with the exported teacher in onnxruntime."""

import time

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class Onnx:
    """In this process: the exported teacher, on the same images each time, from host memory and back."""

    def __init__(self, folder, batch, threads=0, provider=CPU):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.facts, providers = {}, [provider]
        if provider == CUDA:
            # The libraries of CUDA may be packages of Python's.
            onnxruntime.preload_dlls()
            # Single precision, as ours: TF32 is something else.
            providers = [(CUDA, {"use_tf32": "0"})]
        self.session = onnxruntime.InferenceSession(str(folder / "teacher.onnx"), options, providers=providers)
        # Where a provider cannot start, onnxruntime takes another.
        if self.session.get_providers()[0] != provider:
            raise RuntimeError(f"{provider} does not start")
        pixels = load_file(folder / "images.safetensors")["images"][:batch]
        # The exported model takes bytes and pads; what is compared is time, so any bytes of its size will do.
        sides = self.session.get_inputs()[0].shape[1:]
        self.images = np.resize(((pixels + 1) * 127.5).astype(np.uint8), (batch, *sides))
        self.run_options = onnxruntime.RunOptions()
        # What only p-values need does not run.
        self.run_options.only_execute_path_to_fetches = True
        self.losses = None

    def measure(self, seconds):
        """Median and 95th percentile of a call, in milliseconds."""
        times, begun = [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - begun < seconds:
            start = time.perf_counter()
            self.session.run(["score"], {"image": self.images}, self.run_options)
            times.append(1e3 * (time.perf_counter() - start))
        return tuple(map(float, np.percentile(times, [50, 95])))
