"""Facial expression recognition with multi-scale wavelet networks.

    import kerafer
    model = kerafer.create_model("wca_mcnn", num_classes=7)
    faces = kerafer.predict("people.jpg")

Importing this module loads no TensorFlow: the names below arrive when they are
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerafer.extras import extra_for
from kerafer.lazy import lazy_names

if TYPE_CHECKING:
    from kerafer.console import show_progress as show_progress
    from kerafer.datasets.dataset import Dataset as Dataset
    from kerafer.errors import UserError as UserError
    from kerafer.evaluation.evaluate import evaluate as evaluate
    from kerafer.export.export import export_model as export_model
    from kerafer.models.load import load_model as load_model
    from kerafer.models.registry import create_model as create_model
    from kerafer.models.registry import list_models as list_models
    from kerafer.reproduction.reproduce import reproduce as reproduce
    from kerafer.runtime.predict import predict as predict
    from kerafer.runtime.recognizer import Recognizer as Recognizer
    from kerafer.training.config import TrainingConfig as TrainingConfig
    from kerafer.training.run import Run as Run
    from kerafer.training.train import (
        InterruptedTraining as InterruptedTraining,
    )
    from kerafer.training.train import train as train

__version__ = "0.1.0"

_find, _, _names = lazy_names(
    __name__,
    {
        "Dataset": "kerafer.datasets",
        "InterruptedTraining": "kerafer.training.train",
        "Recognizer": "kerafer.runtime",
        "Run": "kerafer.training.run",
        "TrainingConfig": "kerafer.training.config",
        "UserError": "kerafer.errors",
        "create_model": "kerafer.models",
        "evaluate": "kerafer.evaluation.evaluate",
        "export_model": "kerafer.export.export",
        "list_models": "kerafer.models",
        "load_model": "kerafer.models",
        "predict": "kerafer.runtime",
        "reproduce": "kerafer.reproduction.reproduce",
        "show_progress": "kerafer.console",
        "train": "kerafer.training.train",
    },
)

__all__ = ["__version__", *_names]


def __getattr__(name: str) -> Any:
    with extra_for(f"kerafer.{name}"):
        return _find(name)


def __dir__() -> list[str]:
    return __all__
