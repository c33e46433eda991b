"""Models as files for other machines."""

from __future__ import annotations

from typing import Any

__all__ = ["export_model"]


def __getattr__(name: str) -> Any:
    # TensorFlow takes seconds to import.
    if name != "export_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kerafer.engine import load_tensorflow_backend

    load_tensorflow_backend("Exports")
    from kerafer.export.any_model import export_model

    return export_model
