"""Saved models back from disk."""

from __future__ import annotations

import os
import zipfile

import keras

# Imported for the names they register with Keras.
from kerafer import layers as layers
from kerafer.classifier import Tensor, image_shape
from kerafer.errors import UserError
from kerafer.model_files import find_keras_file
from kerafer.models.float32 import in_float32


def load_model(
    path: str | os.PathLike[str], compile: bool = False
) -> keras.Model:
    """Load a `.keras` file, or the model of a run's or an export's folder.

    Nothing in the file is executed: Keras' safe mode refuses pickled code and
    Lambda layers. A model of half precision is made to compute in float32.

    Args:
        path: What `find_keras_file` takes: a `.keras` file, a folder with
            `best.keras`, `model.keras` or one `.keras` file in it, or the name
            of a model that the package brings along.
        compile: Whether the optimizer and loss are restored too, and the
            number format is left as it is. Defaults to `False`.

    Raises:
        UserError: Where there is no such file, or it is no model that is safe
            to load.
    """
    file = find_keras_file(path)
    if not zipfile.is_zipfile(file):
        raise UserError(
            "A model is a .keras file, whole. This one is damaged or of "
            f"another kind: {file}."
        )
    try:
        model = keras.saving.load_model(file, compile=compile, safe_mode=True)
        return model if compile else in_float32(model)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"The model {file} can't be loaded: {reason[0]}"
        ) from error


def load_classifier(path: str | os.PathLike[str]) -> keras.Model:
    """Load a model that gives the probabilities of an image's classes.

    Args:
        path: As for `load_model`.

    Returns:
        The model, of one input tensor and one output tensor.

    Raises:
        UserError: As `load_model`, and where the model has other inputs or
            outputs than `image_shape` asks for.
    """
    model = load_model(path)
    inputs = getattr(model, "inputs", None) or []
    outputs = getattr(model, "outputs", None) or []
    image_shape(path, _tensors(inputs), _tensors(outputs))
    if isinstance(model.input, (list, dict)) or isinstance(
        model.output, (list, dict)
    ):
        # One tensor in a list or a dictionary, as Keras keeps them too.
        model = keras.Model(inputs[0], outputs[0], name=model.name)
    return model


def _tensors(tensors: list[keras.KerasTensor]) -> list[Tensor]:
    return [
        (tensor.shape, keras.backend.standardize_dtype(tensor.dtype))
        for tensor in tensors
    ]
