"""The machine that figures are of."""

import os
import platform
from pathlib import Path


def processor():
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def environment(driver_threads):
    """The variables of a process; "own" is what the driver, or the program, chooses by itself."""
    return os.environ | ({} if driver_threads == "own" else {"LP_NUM_THREADS": driver_threads})
