"""The examples of docstrings and of README.md run."""

import doctest
import importlib
import pkgutil
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, write_png

import pkdgan

README = Path(__file__).resolve().parents[1] / "README.md"
NEEDS = {"pkdgan.estimator": "sklearn"}


@pytest.mark.parametrize("name", ["pkdgan", *(f"pkdgan.{m.name}" for m in pkgutil.iter_modules(pkdgan.__path__))])
def test_the_examples_of_docstrings(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs it")
    if name == "pkdgan._pkdgan":
        return
    module = importlib.import_module(name)
    results = doctest.testmod(module, extraglobs={"MODEL": str(MODEL)}, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
    if name in ("pkdgan", "pkdgan.detector", "pkdgan.graph", "pkdgan.estimator", "pkdgan.adapters"):
        assert results.attempted > 0, f"{name} has no examples"


def test_the_examples_of_the_readme(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="an example trains")
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
    names = {}
    for block in blocks:
        # As few steps as will do.
        block = block.replace("OneClassDetector(", 'OneClassDetector(device="cpu", settings=QUICK, ')
        from conftest import QUICK

        exec(compile(block, "README.md", "exec"), {**names, "QUICK": QUICK} if not names else names | {"QUICK": QUICK}, names)


def test_everything_public_is_documented():
    for name in pkdgan.__all__:
        item = getattr(pkdgan, name)
        if isinstance(item, str):
            continue
        assert item.__doc__, name
        for member in vars(item).values() if isinstance(item, type) else ():
            label = getattr(member, "__name__", "_")
            if not label.startswith("_") and callable(member):
                assert member.__doc__, f"{name}.{label}"
