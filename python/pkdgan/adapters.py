"""The adapters (GPUs and software drivers) of this machine."""

from __future__ import annotations

import os
from typing import Dict, List

from . import _pkdgan

__all__ = ["adapters", "quieten_driver"]


def quieten_driver() -> None:
    """Has a layer of Vulkan drivers be silent on machines without a desktop."""
    if "XDG_RUNTIME_DIR" not in os.environ:
        os.environ["NODEVICE_SELECT"] = "1"


def adapters() -> List[Dict[str, str]]:
    """The adapters, as ``pkdgan devices`` lists them.

    Each is a dict with ``name``, ``backend``, ``driver`` and ``kind``: ``discrete``, ``integrated``, ``virtual``, ``cpu`` (a
    software driver) or ``other``. The option ``adapter=`` takes a part of the name, or the place in this list.

    >>> import pkdgan
    >>> all(sorted(adapter) == ["backend", "driver", "kind", "name"] for adapter in pkdgan.adapters())
    True
    """
    quieten_driver()
    return _pkdgan.adapters()
