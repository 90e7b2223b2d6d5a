"""The compute engine: a tape of ops over float32 tensors, gradients, and what runs it."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _pkdgan
from .adapters import quieten_driver

__all__ = ["Graph", "Tensor"]

Pair = Union[int, Tuple[int, int]]


class Tensor:
    """A value of a :class:`Graph`. ``+`` and ``-`` take tensors of the same shape, ``*`` and ``/`` a number."""

    __slots__ = ("graph", "_handle")

    def __init__(self, graph: "Graph", handle: int) -> None:
        self.graph = graph
        self._handle = handle

    @property
    def shape(self) -> Tuple[int, int, int, int]:
        """``(N, C, H, W)``."""
        n, c, h, w = self.graph._raw.shape(self._handle)
        return n, c, h, w

    def __add__(self, other: "Tensor") -> "Tensor":
        return self.graph.add(self, other)

    def __sub__(self, other: "Tensor") -> "Tensor":
        return self.graph.sub(self, other)

    def __mul__(self, factor: float) -> "Tensor":
        return self.graph.scale(self, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Tensor":
        return self.graph.scale(self, 1 / divisor)

    def __neg__(self) -> "Tensor":
        return self.graph.scale(self, -1)

    def __repr__(self) -> str:
        return f"<pkdgan.Tensor {self.shape}>"


class Graph:
    """A tape of ops, their gradients, and runs of it on an adapter or on the CPU.

    Tensors are float32 and have four dimensions, ``(N, C, H, W)``. Shapes are checked as an op is added: ValueError names the
    op. Gradients are more ops on the same tape, so they may be used like any tensor.

    >>> import numpy as np
    >>> import pkdgan
    >>> graph = pkdgan.Graph()
    >>> x = graph.input("x", (1, 1, 2, 2))
    >>> w = graph.input("w", (1, 1, 1, 1))
    >>> y = graph.conv2d(x, w)
    >>> (dw,) = graph.gradients(graph.mean(y), [w])
    >>> graph.output("y", y)
    >>> graph.output("dw", dw)
    >>> out = graph.run({"x": [[[[1, 2], [3, 6]]]], "w": [[[[10]]]]})
    >>> out["y"].ravel().tolist(), out["dw"].item()    # dw is the mean of x
    ([10.0, 20.0, 30.0, 60.0], 3.0)

    ``graph.run(..., device="gpu")`` computes the same on the best adapter, by the kernels under ``shaders/``. What was made
    ready for a run stays for the next one, until the graph grows or another device is asked for.
    """

    def __init__(self) -> None:
        self._raw = _pkdgan.RawGraph()

    # Values

    def input(self, name: str, shape: Sequence[int]) -> Tensor:
        """A tensor that :meth:`run` is given."""
        return self._made(self._raw.input(str(name), _shape(shape)))

    def constant(self, values: Any) -> Tensor:
        """Fixed numbers of four dimensions; of fewer, those in front are 1."""
        array = _array("a constant", values)
        if array.ndim < 4:
            array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        return self._made(self._raw.constant(array))

    def detach(self, x: Tensor) -> Tensor:
        """The same numbers, but gradients stop here."""
        return self._made(self._raw.detach(self._handle(x)))

    def output(self, name: str, x: Tensor) -> None:
        """Has :meth:`run` return ``x`` under this name."""
        self._raw.output(str(name), self._handle(x))

    def scope(self, name: str) -> None:
        """Names the part of a network that the next ops belong to, for errors."""
        self._raw.scope(str(name))

    # Ops

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """``a + b``."""
        return self._made(self._raw.add(self._handle(a), self._handle(b)))

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        """``a - b``."""
        return self._made(self._raw.sub(self._handle(a), self._handle(b)))

    def scale(self, x: Tensor, factor: float) -> Tensor:
        """``factor * x``."""
        return self._made(self._raw.scale(self._handle(x), float(factor)))

    def sum(self, x: Tensor) -> Tensor:
        """The sum of all elements, a scalar ``(1, 1, 1, 1)``."""
        return self._made(self._raw.sum(self._handle(x)))

    def mean(self, x: Tensor) -> Tensor:
        """The mean of all elements, a scalar ``(1, 1, 1, 1)``."""
        return self._made(self._raw.mean(self._handle(x)))

    def relu(self, x: Tensor) -> Tensor:
        """``max(x, 0)``."""
        return self._activation(x, "relu")

    def leaky_relu(self, x: Tensor, slope: float = 0.2) -> Tensor:
        """``x`` where positive, else ``slope * x``."""
        return self._activation(x, "leaky_relu", slope)

    def tanh(self, x: Tensor) -> Tensor:
        """Hyperbolic tangent."""
        return self._activation(x, "tanh")

    def sigmoid(self, x: Tensor) -> Tensor:
        """``1 / (1 + exp(-x))``."""
        return self._activation(x, "sigmoid")

    def conv2d(
        self, x: Tensor, weight: Tensor, bias: Optional[Tensor] = None, *, stride: Pair = 1, padding: Pair = 0
    ) -> Tensor:
        """Convolution of ``x`` ``(N, C, H, W)`` with ``weight`` ``(O, C, K, K)``; ``bias`` is ``(1, O, 1, 1)``."""
        handles = self._handle(x), self._handle(weight), self._optional(bias)
        return self._made(self._raw.conv2d(*handles, _pair("stride", stride), _pair("padding", padding)))

    def conv_transpose2d(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Optional[Tensor] = None,
        *,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
    ) -> Tensor:
        """Transposed convolution of ``x`` ``(N, C, H, W)`` with ``weight`` ``(C, O, K, K)``; ``bias`` is ``(1, O, 1, 1)``."""
        handles = self._handle(x), self._handle(weight), self._optional(bias)
        pairs = _pair("stride", stride), _pair("padding", padding), _pair("output_padding", output_padding)
        return self._made(self._raw.conv_transpose2d(*handles, *pairs))

    def batch_norm(
        self,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        statistics: Optional[Tensor] = None,
        *,
        sets: int = 1,
        epsilon: float = 1e-5,
    ) -> Tensor:
        """Batch norm with ``scale`` and ``shift`` ``(1, C, 1, 1)``.

        Mean and variance are those of the batch, cut into so many ``sets`` of images; or ``statistics`` ``(1, 2, C, 1)``, means
        and then variances.
        """
        handles = self._handle(x), self._handle(scale), self._handle(shift), self._optional(statistics)
        return self._made(self._raw.batch_norm(*handles, _length("sets", sets), float(epsilon)))

    def batch_concat(self, a: Tensor, b: Tensor) -> Tensor:
        """The images of ``a``, then those of ``b``."""
        return self._made(self._raw.batch_concat(self._handle(a), self._handle(b)))

    def bce_with_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy of each logit with its target; no gradient passes to targets."""
        return self._made(self._raw.bce_with_logits(self._handle(logits), self._handle(targets)))

    def distance(self, a: Tensor, b: Tensor, measure: str = "l2") -> Tensor:
        """The distance of each pair of samples, ``(N, 1, 1, 1)``.

        ``l1`` is the mean absolute difference, ``mean_squared`` the mean of squares, ``l2`` the root of their sum.
        """
        return self._made(self._raw.distance(self._handle(a), self._handle(b), measure))

    def unit_rms(self, x: Tensor) -> Tensor:
        """Each sample scaled to a root mean square of one."""
        return self._made(self._raw.unit_rms(self._handle(x)))

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> List[Tensor]:
        """The gradients of a scalar by each of these tensors, in that order."""
        handles = [self._handle(tensor) for tensor in wrt]
        return [self._made(handle) for handle in self._raw.gradients(self._handle(loss), handles)]

    # Runs

    def run(
        self, inputs: Mapping[str, Any], *, device: str = "cpu", adapter: Optional[Union[str, int]] = None
    ) -> Dict[str, np.ndarray]:
        """Computes the outputs from arrays, by name.

        ``device`` is ``cpu`` or ``gpu``; ``adapter`` names one of :func:`pkdgan.adapters` and means ``gpu``. Raises ValueError
        for inputs that are missing or of another shape, and :class:`pkdgan.DeviceError` where the adapter is missing or
        fails.
        """
        if adapter is not None:
            device = "gpu"
        if device not in ("cpu", "gpu"):
            raise ValueError(f"there is no device {device!r}; there are cpu, gpu")
        if device == "gpu":
            quieten_driver()
        arrays = [(str(name), _array(f"input {name!r}", values)) for name, values in dict(inputs).items()]
        return dict(self._raw.run(arrays, device, None if adapter is None else str(adapter)))

    def _made(self, handle: int) -> Tensor:
        return Tensor(self, handle)

    def _activation(self, x: Tensor, name: str, slope: float = 0.0) -> Tensor:
        return self._made(self._raw.activation(self._handle(x), name, float(slope)))

    def _handle(self, tensor: Tensor) -> int:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{tensor!r} is no Tensor; constant() makes one of numbers")
        if tensor.graph is not self:
            raise ValueError("the tensor is of another graph")
        return tensor._handle

    def _optional(self, tensor: Optional[Tensor]) -> Optional[int]:
        return None if tensor is None else self._handle(tensor)


def _array(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} has dtype {array.dtype}; give numbers")
        return np.ascontiguousarray(array, dtype=np.float32).reshape(array.shape)
    except ValueError as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from None


def _shape(shape: Sequence[int]) -> List[int]:
    lengths = [_length("a length of a shape", length) for length in shape]
    if len(lengths) != 4:
        raise ValueError(f"a shape is four lengths, (N, C, H, W); {tuple(lengths)} has {len(lengths)}")
    return lengths


def _pair(name: str, pair: Pair) -> Tuple[int, int]:
    both = (pair, pair) if isinstance(pair, (int, np.integer)) else tuple(pair)
    if len(both) != 2:
        raise ValueError(f"{name} is {pair!r}; give one number, or two: vertical, horizontal")
    return _length(name, both[0]), _length(name, both[1])


def _length(name: str, length: Any) -> int:
    if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
        raise TypeError(f"{name} is {length!r}; give a whole number")
    if not 0 <= length < 1 << 31:
        raise ValueError(f"{name} is {length}; it must be 0 to {(1 << 31) - 1}")
    return int(length)
