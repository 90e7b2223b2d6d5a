"""The engine from Python: shapes, runs, errors, and ten ops with their gradients beside PyTorch's."""

import numpy as np
import pytest

import pkdgan


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_numbers_in_and_out():
    graph = pkdgan.Graph()
    a, b = graph.input("a", (2, 3, 1, 4)), graph.constant(random(2, 3, 1, 4, seed=1))
    assert a.shape == (2, 3, 1, 4) and "(2, 3, 1, 4)" in repr(a)
    graph.output("y", 2 * (a + b) - a / 4)
    x = random(2, 3, 1, 4)
    expected = 2 * (x + random(2, 3, 1, 4, seed=1)) - x / 4
    np.testing.assert_allclose(graph.run({"a": x})["y"], expected, rtol=1e-5)
    # Doubles, lists and other orders are numbers too; a run does not change what the next one sees.
    for given in (x.astype(np.float64), x.tolist(), np.asfortranarray(x)):
        out = graph.run({"a": given})["y"]
        assert out.dtype == np.float32 and out.shape == (2, 3, 1, 4)
        np.testing.assert_allclose(out, expected, rtol=1e-5)
    # The graph grows after a run.
    graph.output("mean", graph.mean(-a))
    out = graph.run({"a": x})
    assert list(out) == ["y", "mean"]
    np.testing.assert_allclose(out["mean"].item(), -x.mean(), rtol=1e-5)


def test_gradients_are_tensors_of_the_graph():
    graph = pkdgan.Graph()
    x = graph.input("x", (1, 1, 1, 3))
    (dx,) = graph.gradients(graph.sum(graph.tanh(x)), [x])
    graph.output("dx", 1.0 * dx)
    values = np.array([[[[-1.0, 0.0, 2.0]]]], np.float32)
    np.testing.assert_allclose(graph.run({"x": values})["dx"], 1 - np.tanh(values) ** 2, rtol=1e-5)
    # No gradient passes what is detached.
    detached = graph.sum(graph.detach(x))
    with pytest.raises(ValueError, match="does not influence the loss"):
        graph.gradients(detached, [x])


def test_the_adapter_computes_the_same():
    assert pkdgan.adapters(), "the WGSL kernels need an adapter: apt-get install -y mesa-vulkan-drivers libvulkan1"
    graph, inputs = every_op()[0]
    on_cpu, on_adapter, again = graph.run(inputs), graph.run(inputs, device="gpu"), graph.run(inputs, adapter=0)
    for name, values in on_cpu.items():
        np.testing.assert_allclose(on_adapter[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(again[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def weighted(graph, y, seed):
    """A scalar whose gradient by each element of y differs."""
    target = graph.constant(random(*y.shape, seed=seed))
    return graph.sum(graph.distance(y, target, "mean_squared"))


def every_op():
    """A graph of each op and its gradients; what PyTorch is to compute; by the name of the op."""
    cases = []

    def case(name, shapes, ours, theirs):
        cases.append((name, shapes, ours, theirs))

    pair = {"a": (3, 4, 5, 5), "b": (3, 4, 5, 5)}
    case("add", pair, lambda g, a, b: a + b, lambda F, a, b: a + b)
    case("sub", pair, lambda g, a, b: a - b, lambda F, a, b: a - b)
    case("scale", {"a": (2, 3, 4, 4)}, lambda g, a: -2.5 * a, lambda F, a: -2.5 * a)
    case("relu", {"a": (2, 3, 5, 5)}, lambda g, a: g.relu(a), lambda F, a: a.relu())
    case("leaky_relu", {"a": (2, 3, 5, 5)}, lambda g, a: g.leaky_relu(a, 0.1), lambda F, a: F.leaky_relu(a, 0.1))
    case("tanh", {"a": (2, 3, 5, 5)}, lambda g, a: g.tanh(a), lambda F, a: a.tanh())
    case("sigmoid", {"a": (2, 3, 5, 5)}, lambda g, a: g.sigmoid(a), lambda F, a: a.sigmoid())
    case(
        "conv2d",
        {"a": (2, 3, 9, 9), "w": (5, 3, 4, 4), "bias": (1, 5, 1, 1)},
        lambda g, a, w, bias: g.conv2d(a, w, bias, stride=2, padding=1),
        lambda F, a, w, bias: F.conv2d(a, w, bias.flatten(), stride=2, padding=1),
    )
    case(
        "conv_transpose2d",
        {"a": (2, 3, 5, 6), "w": (3, 4, 4, 4), "bias": (1, 4, 1, 1)},
        lambda g, a, w, bias: g.conv_transpose2d(a, w, bias, stride=(2, 3), padding=1, output_padding=(1, 0)),
        lambda F, a, w, bias: F.conv_transpose2d(
            a, w, bias.flatten(), stride=(2, 3), padding=1, output_padding=(1, 0)
        ),
    )
    case(
        "batch_norm",
        {"a": (4, 3, 5, 5), "scale": (1, 3, 1, 1), "shift": (1, 3, 1, 1)},
        lambda g, a, scale, shift: g.batch_norm(a, scale, shift),
        lambda F, a, scale, shift: F.batch_norm(a, None, None, scale.flatten(), shift.flatten(), True, eps=1e-5),
    )
    case("batch_concat", pair, lambda g, a, b: g.batch_concat(a, b), lambda F, a, b: F_cat(a, b))
    case("l1", pair, lambda g, a, b: g.distance(a, b, "l1"), lambda F, a, b: (a - b).abs().mean((1, 2, 3), True))
    case("l2", pair, lambda g, a, b: g.distance(a, b), lambda F, a, b: ((a - b) ** 2).sum((1, 2, 3), True).sqrt())
    case(
        "unit_rms",
        {"a": (3, 4, 2, 2)},
        lambda g, a: g.unit_rms(a),
        lambda F, a: a / (a**2).mean((1, 2, 3), True).sqrt(),
    )
    case("mean", {"a": (2, 3, 4, 5)}, lambda g, a: g.mean(a), lambda F, a: a.mean().reshape(1, 1, 1, 1))
    case("sum", {"a": (2, 3, 4, 5)}, lambda g, a: g.sum(a), lambda F, a: a.sum().reshape(1, 1, 1, 1))
    case(
        "bce_with_logits",
        {"a": (3, 1, 4, 4)},
        lambda g, a: g.bce_with_logits(a, g.constant(np.full((3, 1, 4, 4), 0.25))),
        lambda F, a: F.binary_cross_entropy_with_logits(a, a.detach() * 0 + 0.25, reduction="none"),
    )
    graph, inputs = pkdgan.Graph(), {}
    for name, shapes, ours, _ in cases:
        graph.scope(name)
        given = [graph.input(f"{name}.{part}", shape) for part, shape in shapes.items()]
        for place, (part, shape) in enumerate(shapes.items()):
            inputs[f"{name}.{part}"] = random(*shape, seed=place)
        y = ours(graph, *given)
        graph.output(f"{name}.y", y)
        gradients = graph.gradients(weighted(graph, y, seed=9), given)
        for part, gradient in zip(shapes, gradients):
            graph.output(f"{name}.d{part}", gradient)
    return (graph, inputs), cases


def F_cat(a, b):
    import torch

    return torch.cat([a, b])


def test_ops_and_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed, which these ops are compared with")
    (graph, inputs), cases = every_op()
    assert len(cases) >= 10
    out = graph.run(inputs)
    for name, shapes, _, theirs in cases:
        given = [torch.tensor(inputs[f"{name}.{part}"], requires_grad=True) for part in shapes]
        y = theirs(torch.nn.functional, *given)
        target = torch.tensor(random(*y.shape, seed=9))
        ((y - target) ** 2).mean((1, 2, 3)).sum().backward()
        for part, expected in [("y", y.detach()), *((f"d{part}", t.grad) for part, t in zip(shapes, given))]:
            found = out[f"{name}.{part}"]
            assert found.shape == tuple(expected.shape), (name, part)
            scale = float(expected.abs().max())
            np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5 * scale, err_msg=f"{name}.{part}")


def test_what_cannot_be_is_a_python_error():
    graph, other = pkdgan.Graph(), pkdgan.Graph()
    x, w = graph.input("x", (1, 2, 4, 4)), graph.input("w", (3, 5, 2, 2))
    cases = [
        (ValueError, "the image has 2 channels", lambda: graph.conv2d(x, w)),
        (ValueError, "conv2d", lambda: graph.conv2d(x, graph.input("v", (3, 2, 2, 2)), stride=0)),
        (ValueError, "of another graph", lambda: graph.relu(other.input("x", (1, 1, 1, 1)))),
        (TypeError, "no Tensor", lambda: graph.add(x, 3)),
        (TypeError, "no Tensor", lambda: x + 1),
        (ValueError, "must be a scalar", lambda: graph.gradients(x, [x])),
        (ValueError, "already", lambda: graph.input("x", (1, 1, 1, 1))),
        (ValueError, "four lengths", lambda: graph.input("y", (1, 2))),
        (ValueError, "no elements", lambda: graph.input("y", (1, 0, 2, 2))),
        (ValueError, "numbers", lambda: graph.input("y", (1 << 20, 1 << 20, 1, 1))),
        (ValueError, "must be 0 to", lambda: graph.input("y", (1, 1, 1, -1))),
        (TypeError, "whole number", lambda: graph.input("y", (1, 1, 1, 1.5))),
        (TypeError, "whole number", lambda: graph.conv2d(x, w, stride=(1, "a"))),
        (ValueError, "give one number, or two", lambda: graph.conv2d(x, w, padding=(1, 2, 3))),
        (ValueError, "more than", lambda: graph.conv_transpose2d(x, graph.constant(np.ones((2, 1, 2, 2))), stride=1 << 30)),
        (ValueError, "no measure", lambda: graph.distance(x, x, "far")),
        (ValueError, "no array of numbers", lambda: graph.constant([[1, 2], [3]])),
        (TypeError, "give numbers", lambda: graph.constant("text")),
        (ValueError, "no outputs", lambda: graph.run({"x": np.ones((1, 2, 4, 4)), "w": np.ones((3, 5, 2, 2)), "v": np.ones((3, 2, 2, 2))})),
        (ValueError, "no device", lambda: graph.run({}, device="tpu")),
    ]
    for expected, part, call in cases:
        with pytest.raises(expected) as error:
            call()
        assert part in str(error.value) and "\n" not in str(error.value), str(error.value)
    graph = pkdgan.Graph()
    graph.output("y", graph.relu(graph.input("x", (1, 2, 4, 4))))
    for expected, part, inputs in [
        (ValueError, "has no values", {}),
        (ValueError, "has shape [1, 2, 4]", {"x": np.ones((1, 2, 4))}),
        (ValueError, "no input \"z\"", {"x": np.ones((1, 2, 4, 4)), "z": 1}),
        (TypeError, "give numbers", {"x": "text"}),
        (TypeError, "give numbers", {"x": np.ones((1, 2, 4, 4), complex)}),
    ]:
        with pytest.raises(expected) as error:
            graph.run(inputs)
        assert part in str(error.value), str(error.value)
    with pytest.raises(pkdgan.DeviceError, match="no usable GPU adapter"):
        graph.run({"x": np.ones((1, 2, 4, 4))}, adapter="no such adapter")
    # It still runs.
    assert graph.run({"x": np.ones((1, 2, 4, 4))})["y"].sum() == 32
