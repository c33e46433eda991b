"""Versions of the software and the hardware, for reports."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path

import kerafer

_PACKAGES = (
    "tensorflow",
    "jax",
    "torch",
    "keras",
    "numpy",
    "opencv-python",
    "scikit-learn",
)


def versions() -> dict[str, str | int]:
    """Return the versions of packages, and the processor with its cores."""
    found: dict[str, str | int] = {"kerafer": kerafer.__version__}
    found["python"] = platform.python_version()
    for package in _PACKAGES:
        # Which backends are there is the user's choice.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["processor"] = processor()
    found["cores"] = os.cpu_count() or 0
    return found


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
