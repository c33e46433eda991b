"""Data sets of faces with expressions, and how they are divided.

Importing this module loads no pandas: the names below arrive when they are
first used, so that the runtime has `kerafer.data.images` without it.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

_HOMES = {
    "DATASETS": "kerafer.data.load",
    "Dataset": "kerafer.data.dataset",
    "load": "kerafer.data.load",
    "make_split": "kerafer.data.splits",
    "read_split": "kerafer.data.splits",
    "write_split": "kerafer.data.splits",
}

__all__ = sorted(_HOMES)


class _Data(types.ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Python sets each submodule that is imported as an attribute here, but
        # `load` is the function in the submodule of that name.
        if name not in _HOMES:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Data


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
