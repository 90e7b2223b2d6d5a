"""The networks of a model file, in PyTorch."""

import json

import torch
from safetensors import safe_open
from torch.nn import functional


class Layer(torch.nn.Module):
    """A convolution or transposed convolution, a norm or none, an activation."""

    def __init__(self, tensors, name, window, activation, epsilon, momentum):
        super().__init__()
        parameter = lambda part: torch.nn.Parameter(tensors[f"{name}.{part}"].float())
        self.weight, (self.stride, self.padding) = parameter("weight"), window
        self.convolve = functional.conv_transpose2d if ".deconv" in name else functional.conv2d
        self.activation, self.epsilon, self.momentum = activation, epsilon, momentum
        self.normed = f"{name}.norm.weight" in tensors
        self.bias = None if self.normed else parameter("bias")
        if self.normed:
            self.scale, self.shift = parameter("norm.weight"), parameter("norm.bias")
        # A discriminator has none.
        self.register_buffer("mean", tensors.get(f"{name}.norm.running_mean"))
        self.register_buffer("variance", tensors.get(f"{name}.norm.running_var"))

    def forward(self, x, statistics):
        x = self.convolve(x, self.weight, self.bias, stride=self.stride, padding=self.padding)
        if self.normed and statistics == "per-image":
            x = functional.instance_norm(x, None, None, self.scale, self.shift, True, self.momentum, self.epsilon)
        elif self.normed:
            # "batch", which keeps running averages, or "running", which takes them.
            x = functional.batch_norm(x, self.mean, self.variance, self.scale, self.shift, statistics == "batch",
                                      self.momentum, self.epsilon)
        return self.activation(x)


class Network(torch.nn.Module):
    """Layers one after the other."""

    def __init__(self, layers, unit_rms=False):
        super().__init__()
        self.layers, self.unit_rms = torch.nn.ModuleList(layers), unit_rms

    def forward(self, x, statistics):
        for layer in self.layers:
            x = layer(x, statistics)
        return unit_rms(x) if self.unit_rms else x


class Generator(torch.nn.Module):
    """Encoder, decoder, encoder."""

    def __init__(self, encoder1, decoder, encoder2):
        super().__init__()
        self.encoder1, self.decoder, self.encoder2 = encoder1, decoder, encoder2

    def forward(self, images, statistics):
        """Latent vectors, reconstructions, and latent vectors of those."""
        latent = self.encoder1(images, statistics)
        reconstruction = self.decoder(latent, statistics)
        return latent, reconstruction, self.encoder2(reconstruction, statistics)


class Model(torch.nn.Module):
    """What a model file holds: a generator, and a discriminator where there is one."""

    def __init__(self, path, momentum=0.1):
        super().__init__()
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            metadata = {key: json.loads(file.metadata()[key]) for key in ("architecture", "preprocessing")}
        self.architecture, preprocessing = metadata["architecture"], metadata["preprocessing"]
        side, height, width = (preprocessing[key] for key in ("side", "height", "width"))
        top, left = (side - height) // 2, (side - width) // 2
        self.margins = (left, side - width - left, top, side - height - top)
        self.statistics = self.architecture["statistics"]
        norm = self.architecture["norm_epsilon"], momentum

        def shrinking(name, windows, unit_rms=False):
            activations = [leaky] * (len(windows) - 1) + [identity]
            return Network([
                Layer(tensors, f"{name}.conv{number}", window, activation, *norm)
                for number, (window, activation) in enumerate(zip(windows, activations), 1)
            ], unit_rms)

        windows = [layer[2:] for layer in self.architecture["encoder"]] + [[1, 0]]
        activations = [torch.relu] * (len(windows) - 1) + [torch.tanh]
        decoder = Network([
            Layer(tensors, f"decoder.deconv{number}", window, activation, *norm)
            for number, (window, activation) in enumerate(zip(reversed(windows), activations), 1)
        ])
        self.generator = Generator(shrinking("encoder1", windows, True), decoder, shrinking("encoder2", windows, True))
        halvings = [[2, 1]] * len(self.architecture["discriminator"]) + [[1, 0]]
        there = "discriminator.conv1.weight" in tensors
        self.discriminator = shrinking("discriminator", halvings) if there else None

    def padded(self, pixels):
        """Images, with values in -1..1, of the side that the networks take."""
        return functional.pad(pixels, self.margins, value=-1.0)

    def score(self, pixels):
        """Scores of padded images."""
        latent, _, again = self.generator(pixels, self.statistics)
        return torch.linalg.vector_norm(latent - again, dim=(1, 2, 3))


def leaky(x):
    return functional.leaky_relu(x, 0.2)


def identity(x):
    return x


def unit_rms(x):
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x * (x.shape[1] ** 0.5 / norm.clamp_min(1e-6))
