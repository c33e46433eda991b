"""Data sets of faces with expressions, and how they are divided.

Importing this module loads no pandas: the names below arrive when they are
first used, so that the runtime has `kerafer.data.images` without it.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "DATASETS": "kerafer.data.loading",
    "Dataset": "kerafer.data.dataset",
    "load": "kerafer.data.loading",
    "make_split": "kerafer.data.splits",
    "read_split": "kerafer.data.splits",
    "write_split": "kerafer.data.splits",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
