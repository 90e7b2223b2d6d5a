"""Settings in the syntax of the command line's ``--set``."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["toml_value"]


def toml_value(value: Any) -> str:
    """A value in TOML's syntax.

    >>> from pkdgan.settings import toml_value
    >>> toml_value([True, 0.5, 'a "b"'])
    '[true, 0.5, "a \\\\"b\\\\""]'
    """
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
