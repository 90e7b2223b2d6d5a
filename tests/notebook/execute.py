#!/usr/bin/env python3
"""Executes a notebook as a reader would, cell by cell. The file is not changed.

    pip install -r examples/requirements.txt
    python tests/notebook/execute.py examples/notebook.ipynb

Fails where a cell does, and where one shows something of another kind than in the file: a cell with a plot must show a
plot.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def kinds(cell):
    # On standard error a library may say something the first time that it is used.
    shown = [output for output in cell.get("outputs", []) if output.get("name") != "stderr"]
    return [sorted(output.get("data", {})) or output["output_type"] for output in shown]


path = Path(sys.argv[1]).resolve()
notebook = nbformat.read(path, as_version=4)
before = [kinds(cell) for cell in notebook.cells]
NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}).execute()
for place, (cell, wanted) in enumerate(zip(notebook.cells, before)):
    assert kinds(cell) == wanted, f"cell {place} shows {kinds(cell)}, not {wanted}: execute it and commit the outputs"
    print("".join(output.get("text", "") for output in cell.get("outputs", [])), end="")
