"""Models to disk."""

from __future__ import annotations

import os

import keras

from kerafer.files import written_beside


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write a `.keras` file with the weights but without the optimizer.

    An optimizer is twice as large as the model and of no use to those who run
    it. The file is written beside and renamed, so it is always whole.

    Args:
        model: A functional model.
        path: Ends in `.keras`.
    """
    bare = keras.Model(model.input, model.output, name=model.name)
    with written_beside(path) as beside:
        bare.save(beside)
