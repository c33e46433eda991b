"""What one does with the package, each a function: train, cross-validate.

A workflow goes through several rooms, so it has this one, between them and
the commands, which only read flags and show what comes back. Importing this
module loads no TensorFlow: the names below arrive when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "InterruptedTraining": "kerafer.workflows.training",
    "Run": "kerafer.workflows.run",
    "cross_validate": "kerafer.workflows.cross_validation",
    "train": "kerafer.workflows.training",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
