"""Models to disk."""

from __future__ import annotations

import hashlib
import os

import keras
import numpy as np

from kerafer.files import atomic_write


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write a `.keras` file with the weights but without the optimizer.

    An optimizer is twice as large as the model and of no use to those who run
    it. The file is written beside and renamed, so it is always whole.

    Args:
        model: Built. The optimizer of a model of a class of its own stays.
        path: Ends in `.keras`.
    """
    with atomic_write(path) as beside:
        _bare(model).save(beside)


def _bare(model: keras.Model) -> keras.Model:
    """A model of the same layers that was never compiled."""
    if not model.compiled:
        return model
    if isinstance(model, keras.Sequential):
        return keras.Sequential(model.layers, name=model.name)
    if type(model).__name__ == "Functional":
        return keras.Model(model.input, model.output, name=model.name)
    return model


def digest_of_weights(model: keras.Model) -> str:
    """sha256 of a model's weights with their names, for one without a file."""
    found = hashlib.sha256()
    for variable in model.variables:
        found.update(variable.path.encode())
        found.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return found.hexdigest()
