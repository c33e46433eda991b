"""What one does with the package, each a function: train, evaluate and such.

A workflow goes through several rooms, so it has this one, between them and
the commands, which only read flags and show what comes back. Importing this
module loads no TensorFlow: the names below arrive when they are first used.
"""

from __future__ import annotations

from kerafer.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "InterruptedTraining": "kerafer.workflows.training",
        "Run": "kerafer.workflows.run",
        "cross_validate": "kerafer.workflows.cross_validation",
        "evaluate": "kerafer.workflows.evaluation",
        "explain_images": "kerafer.workflows.explanation",
        "explain_wavelets": "kerafer.workflows.explanation",
        "export_model": "kerafer.workflows.export",
        "predict_to_folder": "kerafer.workflows.prediction",
        "reproduce": "kerafer.workflows.reproduction",
        "train": "kerafer.workflows.training",
    },
)
