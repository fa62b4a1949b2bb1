"""Machine: what a figure was measured on, so that it can be compared."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("streamqrs", "numpy", "scipy", "onnxruntime", "pylsl", "aiomqtt")


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer, as far as it matters for its speed.

    Attributes
    ----------
    cpu : str
        Name of the processor; empty if the system does not say.
    cores : int
        Cores that this process may use.
    load : float
        Processes that wanted a core over the last minute when the measurement began: above 0, others were at work,
        and tails are pessimistic. NaN if the system does not say.
    system, python : str
        Operating system, and version of Python.
    versions : dict of str to str
        Versions of the packages that do the work.
    date : str
        When it was measured: YYYY-MM-DD, UTC.
    """

    cpu: str
    cores: int
    load: float
    system: str
    python: str
    versions: dict[str, str]
    date: str


def this_machine() -> Machine:
    """Describe the machine that this runs on."""
    return Machine(
        _cpu(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan"),
        platform.platform(terse=True),
        platform.python_version(),
        {name: number for name in PACKAGES if (number := installed(name))},
        datetime.now(UTC).date().isoformat(),
    )


def installed(package: str) -> str:
    """Version of an installed package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
