"""Facial expression recognition with multi-scale wavelet networks.

    import kerafer
    model = kerafer.create_model("wca_mcnn", num_classes=7)
    faces = kerafer.predict("people.jpg")

Importing this module loads no TensorFlow: the names below arrive when they are
first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "kerafer.data",
    "Run": "kerafer.workflows",
    "TrainingConfig": "kerafer.training.config",
    "UserError": "kerafer.errors",
    "create_model": "kerafer.models",
    "export_model": "kerafer.export",
    "list_models": "kerafer.models",
    "load_model": "kerafer.models",
    "predict": "kerafer.runtime",
    "train": "kerafer.workflows",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from kerafer.extras import extra_for

        with extra_for(f"kerafer.{name}"):
            return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
