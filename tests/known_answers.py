#!/usr/bin/env python3
"""Prints tests/known_answers/values.rs: what PyTorch makes of the inputs of tests/known_answers.rs.

    pip install torch
    python tests/known_answers.py > tests/known_answers/values.rs

Everything is computed in double precision from inputs that single precision can hold.
"""

import math
import struct

import torch
import torch.nn.functional as F


def single(v):
    """Rounded to single precision."""
    return struct.unpack("f", struct.pack("f", v))[0]


def wave(k, *shape):
    """The inputs: element i is sin(0.37 i^2 + k), rounded to single precision."""
    values = [single(math.sin(0.37 * i * i + k)) for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).reshape(shape).requires_grad_()


def emit(name, values):
    """Prints a constant."""
    values = values.detach().flatten().tolist() if torch.is_tensor(values) else list(values)
    print(f"\npub const {name}: &[f64] = &[")
    line = "   "
    for v in values:
        literal = f" {float(f'{v:.9g}')!r},"
        if len(line) + len(literal) > 120:
            print(line)
            line = "   "
        line += literal
    print(line)
    print("];")


def squares(y, k):
    """The loss behind most gradients: the sum of squares of y less a wave."""
    return ((y - wave(k, *y.shape).detach()) ** 2).sum()


def with_gradients(name, y, loss, **by):
    """Prints y and the gradients of the loss."""
    emit(f"{name}_Y", y)
    for (letter, _), gradient in zip(by.items(), torch.autograd.grad(loss, list(by.values()))):
        emit(f"{name}_D{letter.upper()}", gradient)


def convolution(name, f, x, w, bias, **window):
    x, w, b = wave(0, *x), wave(1, *w), wave(2, bias)
    y = f(x, w, b, **window)
    with_gradients(name, y, squares(y, 3), x=x, w=w, b=b)


def batch_norm(name, f, sample):
    x, scale, shift = wave(0, *sample), wave(1, sample[1]), wave(2, sample[1])
    y = f(x, scale, shift)
    with_gradients(name, y, squares(y, 3), x=x, scale=scale, shift=shift)


print("//! Printed by tests/known_answers.py, with PyTorch", torch.__version__.split("+")[0])

convolution("CONV_ODD", F.conv2d, (2, 2, 5, 7), (3, 2, 4, 4), 3, stride=2, padding=1)
convolution("CONV_OBLONG", F.conv2d, (2, 2, 3, 5), (3, 2, 2, 3), 3, stride=(1, 2), padding=(0, 2))
convolution("TRANSPOSE", F.conv_transpose2d, (2, 3, 2, 3), (3, 2, 3, 3), 2, stride=2, padding=1, output_padding=1)
convolution("TRANSPOSE_OBLONG", F.conv_transpose2d, (1, 2, 3, 2), (2, 3, 2, 4), 3, stride=(1, 2), padding=(0, 1),
            output_padding=(0, 1))

running = torch.tensor([0.25, -0.5], dtype=torch.float64), torch.tensor([1.5, 0.75], dtype=torch.float64)
batch_norm("BATCH_NORM", lambda x, scale, shift: F.batch_norm(x, *running, scale, shift, True, 0.1, 1e-5), (3, 2, 2, 2))
emit("BATCH_NORM_RUNNING", torch.cat(running))
# By the running averages as they are now.
batch_norm("EVALUATION", lambda x, scale, shift: F.batch_norm(x, *running, scale, shift, False, 0.1, 1e-5), (3, 2, 2, 3))
# Two batches, one after the other.
batch_norm("TWO_SETS", lambda x, scale, shift: torch.cat(
    [F.batch_norm(part, *running, scale, shift, True, 0.1, 1e-5) for part in x.split(2)]), (4, 2, 1, 3))
emit("TWO_SETS_RUNNING", torch.cat(running))
batch_norm("PER_IMAGE", lambda x, scale, shift: F.instance_norm(x, None, None, scale, shift, True, 0.1, 1e-5), (3, 2, 2, 2))

for name, f in [("RELU", F.relu), ("LEAKY_RELU", lambda x: F.leaky_relu(x, 0.2)), ("TANH", torch.tanh),
                ("SIGMOID", torch.sigmoid)]:
    x = wave(0, 12)
    y = f(4 * x)
    with_gradients(name, y, squares(y, 3), x=x)
    x = torch.tensor([-100.0, -20.0, 0.0, 20.0, 100.0], dtype=torch.float64, requires_grad=True)
    y = f(x)
    with_gradients(f"{name}_FAR", y, squares(y, 3), x=x)

logits = wave(0, 8)
targets = torch.tensor([1.0, 0.0, 0.9, 0.1, 0.5, 1.0, 0.0, 0.25], dtype=torch.float64)
loss = F.binary_cross_entropy_with_logits(5 * logits, targets)
with_gradients("BCE", loss, loss, logits=logits)
logits = torch.tensor([-100.0, -100.0, 0.0, 100.0, 100.0], dtype=torch.float64, requires_grad=True)
targets = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
loss = F.binary_cross_entropy_with_logits(logits, targets)
with_gradients("BCE_FAR", loss, loss, logits=logits)

for name, f in [("L1", lambda d: d.abs().mean(1)), ("MSE", lambda d: (d * d).mean(1)),
                ("L2", lambda d: torch.linalg.vector_norm(d, dim=1))]:
    a, b = wave(0, 3, 4), wave(1, 3, 4)
    y = f(a - b)
    with_gradients(name, y, y.mean(), a=a, b=b)

h = wave(0, 3, 5)
z = h * math.sqrt(5) / torch.linalg.vector_norm(h, dim=1, keepdim=True)
with_gradients("UNIT_RMS", z, squares(z, 3), h=h)

x = wave(0, 8)
loss = ((torch.tanh(x) - torch.sigmoid(x).detach()) ** 2).sum()
emit("DETACH_DX", torch.autograd.grad(loss, x)[0])

# The parameters meet in a convolution, so that each gradient depends on both.
x, w, b = wave(0, 2, 2, 3, 3), wave(1, 2, 2, 2, 2), wave(2, 2)
for name, steps in [("ADAM_COSINE", 3), ("ADAM_CONSTANT", None)]:
    parameters = [v.detach().clone().requires_grad_() for v in (w, b)]
    adam = torch.optim.Adam(parameters, lr=0.05, betas=(0.5, 0.999), eps=1e-8)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps) if steps else None
    for step in range(1, 4):
        adam.zero_grad()
        squares(F.conv2d(x.detach(), *parameters), 3).backward()
        adam.step()
        if cosine:
            cosine.step()
        if cosine or step == 3:
            emit(f"{name}_{step}", torch.cat([p.flatten() for p in parameters]))
    state = [adam.state[p] for p in parameters]
    emit(f"{name}_FIRST", torch.cat([s["exp_avg"].flatten() for s in state]))
    emit(f"{name}_SECOND", torch.cat([s["exp_avg_sq"].flatten() for s in state]))
