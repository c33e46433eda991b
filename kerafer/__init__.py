"""Facial expression recognition with multi-scale wavelet networks.

    import kerafer
    model = kerafer.create_model("wca_mcnn", num_classes=7)
    faces = kerafer.predict("people.jpg")

Importing this module loads no TensorFlow: the names below arrive when they are
first used.
"""

from __future__ import annotations

from typing import Any

from kerafer.extras import extra_for
from kerafer.lazy import lazy_names

__version__ = "0.1.0"

_find, _, _names = lazy_names(
    __name__,
    {
        "Dataset": "kerafer.data",
        "Recognizer": "kerafer.runtime:EmotionRecognizer",
        "Run": "kerafer.workflows",
        "TrainingConfig": "kerafer.training.config",
        "UserError": "kerafer.errors",
        "create_model": "kerafer.models",
        "evaluate": "kerafer.workflows",
        "export_model": "kerafer.workflows",
        "list_models": "kerafer.models",
        "load_model": "kerafer.models",
        "predict": "kerafer.runtime",
        "reproduce": "kerafer.workflows",
        "train": "kerafer.workflows",
    },
)

__all__ = ["__version__", *_names]


def __getattr__(name: str) -> Any:
    with extra_for(f"kerafer.{name}"):
        return _find(name)


def __dir__() -> list[str]:
    return __all__
