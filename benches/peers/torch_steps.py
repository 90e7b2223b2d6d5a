"""The steps of `cargo bench --bench training` in PyTorch, as one would write them: eager, by `torch.compile`, as CUDA graphs."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from networks import Model

# Steps whose losses are told.
TOLD = 3
# What a block of calls takes together, in seconds, and fewest blocks that are timed.
BLOCK, FEWEST = 0.1, 5
# How steps run.
EAGER, COMPILE, GRAPH = "eager", "compile", "graph"
# Steps before a CUDA graph is captured: libraries choose algorithms and allocate memory in the first ones.
WARM_UP = 3


def build(folder, work, batch, fused, device="cpu", mode=EAGER):
    """What does the work, to be timed."""
    setting = Setting(Path(folder), batch, fused, torch.device(device), mode)
    if work == "teacher-scoring":
        timed = Scoring(setting)
    elif work == "distillation":
        timed = Distillation(setting)
    else:
        network, _, kind = work.partition("-")
        timed = {"gan": Gan, "generator": Generator}[kind](setting, network)
    if mode == GRAPH:
        timed.run = Captured(timed)
    return timed


class Setting:
    """What all have in common."""

    def __init__(self, folder, batch, fused, device, mode):
        self.folder, self.batch, self.fused, self.device, self.mode = folder, batch, fused, device, mode
        self.config = json.loads((folder / "config.json").read_text())
        self.images = load_file(folder / "images.safetensors")["images"].to(device)
        self.order = torch.arange(len(self.images), device=device)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            # Single precision, as ours: TF32 is something else.
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        if mode == COMPILE:
            # Otherwise batch sizes that were compiled before count towards a limit, after which all is eager.
            torch.compiler.reset()

    def model(self, network):
        path = self.folder / f"{network}.safetensors"
        model = Model(path, self.config["training"]["norm_momentum"]).to(self.device)
        if self.mode == COMPILE:
            for part in filter(None, (model.generator, model.discriminator)):
                part.compile(fullgraph=True, dynamic=False)
        return model

    def own(self, network):
        """Learning rate of a network by its own losses, and their weights."""
        if network == "teacher":
            return self.config["training"]["learning_rate"], self.config["training"]["weights"]
        return self.config["student"]["alone"]["learning_rate"], self.config["student"]["weights"]

    def adam(self, network, learning_rate):
        betas = self.config["training"]["betas"]
        return torch.optim.Adam(network.parameters(), learning_rate, betas, eps=1e-8, fused=self.fused or None,
                                capturable=self.mode == GRAPH)


class Timed:
    """Something done over and over: `compute`, on batch after batch."""

    modules = optimizers = ()

    def __init__(self, setting):
        self.setting, self.done = setting, 0
        self.run = self.compute

    def step(self):
        return self.run(self.images())

    def images(self):
        """The next batch."""
        batch, order = self.setting.batch, self.setting.order
        first = self.done * batch % len(order)
        self.done += 1
        return self.setting.images[order[first:first + batch]]

    def losses(self):
        """Those of the first steps."""
        return [[loss.item() for loss in self.step()] for _ in range(TOLD)]

    def measure(self, seconds):
        """Median and 95th percentile, in milliseconds, of what a step takes, over blocks of steps."""

        def block(steps):
            start = time.perf_counter()
            for _ in range(steps):
                self.step()
            if self.setting.device.type == "cuda":
                torch.cuda.synchronize()
            return (time.perf_counter() - start) / steps

        steps = min(max(int(np.ceil(BLOCK / block(4))), 1), 1024)
        begun, times = time.perf_counter(), []
        while len(times) < FEWEST or time.perf_counter() - begun < seconds:
            times.append(1e3 * block(steps))
        return tuple(map(float, np.percentile(times, [50, 95])))


class Captured:
    """What a `Timed` computes, as a CUDA graph. It reads the images from the same memory each time."""

    def __init__(self, timed):
        self.images = timed.images().to(timed.setting.device, copy=True)
        timed.done = 0
        tensors = [tensor for module in timed.modules for tensor in (*module.parameters(), *module.buffers())]
        saved = [tensor.detach().clone() for tensor in tensors]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                timed.compute(self.images)
        torch.cuda.current_stream().wait_stream(stream)
        # Back to the start: the first replay is the first step.
        with torch.no_grad():
            for tensor, value in zip(tensors, saved):
                tensor.copy_(value)
            for optimizer in timed.optimizers:
                optimizer.zero_grad()
                for moments in optimizer.state.values():
                    for tensor in moments.values():
                        tensor.zero_()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.results = timed.compute(self.images)

    def __call__(self, images):
        self.images.copy_(images, non_blocking=True)
        self.graph.replay()
        return self.results


class Generator(Timed):
    """The generator's losses without a discriminator."""

    def __init__(self, setting, network):
        super().__init__(setting)
        self.generator = setting.model(network).generator
        learning_rate, self.weights = setting.own(network)
        self.optimizer = setting.adam(self.generator, learning_rate)
        self.modules, self.optimizers = [self.generator], [self.optimizer]

    def compute(self, images):
        latent, made, again = self.generator(images, "batch")
        reconstruction, distance = functional.l1_loss(made, images), functional.mse_loss(latent, again)
        loss = self.weights["reconstruction"] * reconstruction + self.weights["latent"] * distance
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return reconstruction, distance


class Gan(Timed):
    """The discriminator, then the generator against it."""

    def __init__(self, setting, network):
        super().__init__(setting)
        model = setting.model(network)
        self.generator, self.discriminator = model.generator, model.discriminator
        learning_rate, self.weights = setting.own(network)
        self.optimizers = [setting.adam(part, learning_rate) for part in (self.discriminator, self.generator)]
        self.modules = [self.discriminator, self.generator]
        self.parameters = list(self.generator.parameters())
        verdicts = (setting.batch, 1, 1, 1)
        self.real, self.fake = torch.ones(verdicts, device=setting.device), torch.zeros(verdicts, device=setting.device)

    def compute(self, images):
        cross_entropy = functional.binary_cross_entropy_with_logits
        latent, made, again = self.generator(images, "batch")
        verdicts = self.discriminator(images, "batch"), self.discriminator(made.detach(), "batch")
        verdict = (cross_entropy(verdicts[0], self.real) + cross_entropy(verdicts[1], self.fake)) / 2
        self.optimizers[0].zero_grad()
        verdict.backward()
        self.optimizers[0].step()

        adversarial = cross_entropy(self.discriminator(made, "batch"), self.real)
        reconstruction, distance = functional.l1_loss(made, images), functional.mse_loss(latent, again)
        weights = self.weights
        loss = (weights["reconstruction"] * reconstruction + weights["latent"] * distance
                + weights["adversarial"] * adversarial)
        self.optimizers[1].zero_grad()
        # Not by the discriminator's parameters.
        loss.backward(inputs=self.parameters)
        self.optimizers[1].step()
        return verdict, reconstruction, distance, adversarial


class Distillation(Timed):
    """The student by what a frozen teacher makes of the same images."""

    def __init__(self, setting):
        super().__init__(setting)
        self.teacher, self.student = setting.model("teacher"), setting.model("student").generator
        distillation = setting.config["distillation"]
        self.weights = distillation["weights"]
        self.optimizer = setting.adam(self.student, distillation["step1"]["learning_rate"])
        self.modules, self.optimizers = [self.student], [self.optimizer]

    def compute(self, images):
        with torch.no_grad():
            latent, made, again = self.teacher.generator(images, self.teacher.statistics)
        own_latent, own_made, own_again = self.student(images, "batch")
        distances = (functional.mse_loss(own_latent, latent), functional.l1_loss(own_made, made),
                     functional.mse_loss(own_again, again))
        weights = self.weights
        loss = (weights["latent"] * distances[0] + weights["reconstruction"] * distances[1]
                + weights["reconstruction_latent"] * distances[2])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return distances


class Scoring(Timed):
    """Scores of the teacher, of the same images each time. Images come from the host, and scores go back there."""

    def __init__(self, setting):
        super().__init__(setting)
        self.model = setting.model("teacher")
        self.pixels = setting.images[:setting.batch].cpu()
        if setting.device.type == "cuda":
            self.pixels = self.pixels.pin_memory()

    def images(self):
        return self.pixels

    def compute(self, images):
        with torch.inference_mode():
            return self.model.score(images.to(self.setting.device, non_blocking=True))

    def step(self):
        return super().step().cpu()

    def losses(self):
        return [self.step().tolist()]
