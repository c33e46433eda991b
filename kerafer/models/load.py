"""Saved models back from disk."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from pathlib import Path

import keras

# Imported for the names they register with Keras.
from kerafer import layers as layers
from kerafer.classifier import Tensor, image_shape
from kerafer.errors import UserError, first_line
from kerafer.model_files import find_keras_file
from kerafer.models.float32 import in_float32
from kerafer.models.graph import built_shape

_MOST_BYTES = 4 * 2**30
_MOST_CONFIG = 64_000_000
# Of what a layer makes weights by; a million is more than any has here.
_SIZES = re.compile(
    r'"(units|filters|depth_multiplier|groups|input_dim|output_dim)": *(\d+)'
)
_MOST_DIGITS = 6


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
        _check_sizes(file)
        with warnings.catch_warnings():
            # Keras would go on with fresh weights in their place.
            warnings.filterwarnings("error", "Skipping nested container")
            model = keras.saving.load_model(
                file, compile=compile, safe_mode=True
            )
        if not model.built:
            raise ValueError(
                "it was never built, so that it has no weights. Call it "
                "before it is saved: model(keras.ops.zeros((1, 224, 224, 3)))"
            )
        return model if compile else in_float32(model)
    # Of a damaged file Keras, zipfile and h5py raise nearly every error.
    except Exception as error:
        raise UserError(
            f"The model {file} can't be loaded: {first_line(error)}"
        ) from error


def _check_sizes(file: Path) -> None:
    """Refuse a file that would take more memory than its weights tell.

    Raises:
        ValueError: Says which bound it passes.
    """
    with zipfile.ZipFile(file) as archive:
        total = sum(item.file_size for item in archive.infolist())
        if total > _MOST_BYTES:
            raise ValueError(
                f"it has at most {_MOST_BYTES:,} bytes unpacked, not {total:,}"
            )
        with archive.open("config.json") as stream:
            config = stream.read(_MOST_CONFIG + 1)
    if len(config) > _MOST_CONFIG:
        raise ValueError(f"its config.json is over {_MOST_CONFIG:,} bytes")
    for key, count in _SIZES.findall(config.decode("utf-8")):
        if len(count) > _MOST_DIGITS:
            raise ValueError(f"a layer of it has {key} {count[:20]}")


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
    return as_classifier(load_model(path), path)


def as_classifier(
    model: keras.Model, name: str | os.PathLike[str]
) -> keras.Model:
    """The model with one input tensor and one output tensor.

    Args:
        model: One that gives the probabilities of an image's classes.
        name: For messages.

    Raises:
        UserError: Where it has other inputs or outputs than `image_shape`
            asks for.
    """
    inputs = getattr(model, "inputs", None) or []
    outputs = getattr(model, "outputs", None) or []
    # Not a sequence of layers, nor one tensor in a list or a dictionary.
    is_plain = inputs and all(
        isinstance(getattr(model, end, None), keras.KerasTensor)
        for end in ("input", "output")
    )
    if not inputs and (shape := built_shape(model)):
        # One of a class of its own has no graph.
        image = keras.Input(shape[1:])
        inputs, outputs = [image], keras.tree.flatten(model(image))
    image_shape(name, _tensors(inputs), _tensors(outputs))
    if is_plain:
        return model
    return keras.Model(inputs[0], outputs[0], name=model.name)


def _tensors(tensors: list[keras.KerasTensor]) -> list[Tensor]:
    return [
        (tensor.shape, keras.backend.standardize_dtype(tensor.dtype))
        for tensor in tensors
    ]
