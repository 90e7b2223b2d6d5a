"""The examples of docstrings and of README.md run."""

import doctest
import importlib
import pkgutil
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, QUICK, write_png

import pkdgan

README = Path(__file__).resolve().parents[1] / "README.md"
NEEDS = {"pkdgan.estimator": "sklearn", "pkdgan.ray": "ray"}


def names(package, paths):
    """The package and what is in it, without importing any of it."""
    yield package
    for module in pkgutil.iter_modules(paths):
        inside = f"{package}.{module.name}"
        yield from names(inside, [f"{path}/{module.name}" for path in paths]) if module.ispkg else [inside]


@pytest.mark.parametrize("name", [*names("pkdgan", pkdgan.__path__)])
def test_the_examples_of_docstrings(name):
    for needing, needed in NEEDS.items():
        if name == needing or name.startswith(f"{needing}."):
            pytest.importorskip(needed, reason=f"{name} needs it")
    if name == "pkdgan._pkdgan":
        return
    module = importlib.import_module(name)
    results = doctest.testmod(module, extraglobs={"MODEL": str(MODEL)}, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
    documented = ("detector", "graph", "estimator", "adapters", "settings", "ray.fitting")
    if name == "pkdgan" or name.removeprefix("pkdgan.") in documented:
        assert results.attempted > 0, f"{name} has no examples"


def test_the_examples_of_the_readme(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="an example trains")
    ray = pytest.importorskip("ray", reason="an example is about it")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder, count in (("photos/good", 40), ("photos/new", 5)):
        Path(folder).mkdir(parents=True)
        for place in range(count):
            write_png(Path(folder, f"{place}.png"), random.integers(0, 256, (40, 40), dtype=np.uint8))
    Path("runs/photos").mkdir(parents=True)
    shutil.copy(MODEL, "runs/photos/model.safetensors")
    known = {"QUICK": QUICK}
    try:
        for block in blocks:
            # As few steps as will do.
            block = block.replace("OneClassDetector(", 'OneClassDetector(device="cpu", settings=QUICK, ')
            exec(compile(block, "README.md", "exec"), known)
    finally:
        ray.shutdown()


@pytest.mark.parametrize("name", ["pkdgan", "pkdgan.ray"])
def test_everything_public_is_documented(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs it")
    module = importlib.import_module(name)
    for name in module.__all__:
        item = getattr(module, name)
        if isinstance(item, str):
            continue
        assert item.__doc__, name
        for member in vars(item).values() if isinstance(item, type) else ():
            label = getattr(member, "__name__", "_")
            if not label.startswith("_") and callable(member):
                assert member.__doc__, f"{name}.{label}"
