"""Save models."""

from __future__ import annotations

import hashlib
import os

import keras
import numpy as np

from kerafer.files import atomic_write


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write a `.keras` file with the weights but without the optimizer.

    The optimizer is twice as large as the model and not needed to run it. The
    file is written beside and renamed, so it is always whole.

    Args:
        model: Built. A subclassed model keeps its optimizer.
        path: Ends in `.keras`.
    """
    with atomic_write(path) as beside:
        _bare(model).save(beside)


def _bare(model: keras.Model) -> keras.Model:
    """Return a model of the same layers without compile state."""
    if not model.compiled:
        return model
    if isinstance(model, keras.Sequential):
        return keras.Sequential(model.layers, name=model.name)
    if type(model).__name__ == "Functional":
        return keras.Model(model.input, model.output, name=model.name)
    return model


def digest_of_weights(model: keras.Model) -> str:
    """Return the sha256 of a model's weights and their names."""
    found = hashlib.sha256()
    for variable in model.variables:
        found.update(variable.path.encode())
        found.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return found.hexdigest()
