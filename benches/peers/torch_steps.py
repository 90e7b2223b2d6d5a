"""The steps of `cargo bench --bench training` in PyTorch eager, as one would write them."""

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


def build(folder, work, batch, fused):
    """What does the work, to be timed."""
    setting = Setting(Path(folder), batch, fused)
    if work == "teacher-scoring":
        return Scoring(setting)
    network, _, kind = work.partition("-")
    if work == "distillation":
        return Distillation(setting)
    return {"gan": Gan, "generator": Generator}[kind](setting, network)


class Setting:
    """What all have in common."""

    def __init__(self, folder, batch, fused):
        self.folder, self.batch, self.fused = folder, batch, fused
        self.config = json.loads((folder / "config.json").read_text())
        self.images = load_file(folder / "images.safetensors")["images"]
        self.order = torch.arange(len(self.images))

    def model(self, network):
        return Model(self.folder / f"{network}.safetensors", self.config["training"]["norm_momentum"])

    def own(self, network):
        """Learning rate of a network by its own losses, and their weights."""
        if network == "teacher":
            return self.config["training"]["learning_rate"], self.config["training"]["weights"]
        return self.config["student"]["alone"]["learning_rate"], self.config["student"]["weights"]

    def adam(self, network, learning_rate):
        betas = self.config["training"]["betas"]
        return torch.optim.Adam(network.parameters(), learning_rate, betas, eps=1e-8, fused=self.fused or None)


class Timed:
    """Something done over and over."""

    def __init__(self, setting):
        self.setting, self.done = setting, 0

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
            return (time.perf_counter() - start) / steps

        steps = min(max(int(np.ceil(BLOCK / block(4))), 1), 1024)
        begun, times = time.perf_counter(), []
        while len(times) < FEWEST or time.perf_counter() - begun < seconds:
            times.append(1e3 * block(steps))
        return tuple(map(float, np.percentile(times, [50, 95])))


class Generator(Timed):
    """The generator's losses without a discriminator."""

    def __init__(self, setting, network):
        super().__init__(setting)
        self.generator = setting.model(network).generator
        learning_rate, self.weights = setting.own(network)
        self.optimizer = setting.adam(self.generator, learning_rate)

    def step(self):
        images = self.images()
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
        self.parameters = list(self.generator.parameters())
        self.real, self.fake = torch.ones(setting.batch, 1, 1, 1), torch.zeros(setting.batch, 1, 1, 1)

    def step(self):
        cross_entropy = functional.binary_cross_entropy_with_logits
        images = self.images()
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

    def step(self):
        images = self.images()
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
    """Scores of the teacher, of the same images each time."""

    def __init__(self, setting):
        super().__init__(setting)
        self.model = setting.model("teacher")
        self.pixels = setting.images[:setting.batch]

    def step(self):
        with torch.inference_mode():
            return self.model.score(self.pixels)

    def losses(self):
        return [self.step().tolist()]
