"""Models of every kind behind one interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from kerafer.engine import load_tensorflow
from kerafer.errors import UserError
from kerafer.runtime.shipped import model_path, shipped_names

# In an exported folder the first of these that is there answers. float16 has
# float32's answers at half the size; TensorFlow comes last.
EXPORTED = (
    "float16.tflite",
    "float32.tflite",
    "int8.tflite",
    "dynamic.tflite",
    "integer.tflite",
    "saved_model",
)


class Predictor(Protocol):
    """A model that is loaded.

    Attributes:
        input_shape: Height, width and channels of the pictures it takes.
        classes: How many outputs it has.
    """

    input_shape: tuple[int, int, int]
    classes: int

    def run(self, images: np.ndarray) -> np.ndarray:
        """The probabilities of pictures.

        Args:
            images: uint8 of shape `(pictures, *input_shape)`.

        Returns:
            float32 of shape `(pictures, classes)`.
        """


def find_model(path: str | os.PathLike[str]) -> Path:
    """The model that a path stands for.

    Args:
        path: The name of a model that the package brings along, or a path:
            a `.tflite` or `.keras` file, a SavedModel's folder, the folder
            of a run (its `best.keras`) or of an export (the first of
            `EXPORTED` that is there, else its only `.keras` file).

    Raises:
        UserError: Where there is none.
    """
    path = model_path(path)
    if path.is_file():
        if path.suffix.lower() in (".tflite", ".keras"):
            return path
        raise UserError(f"{_RULE} Received: {path}.")
    if not path.exists():
        raise UserError(f"{_RULE}\nThere is no {path}.")
    if (path / "saved_model.pb").is_file():
        return path
    for name in ("best.keras", *EXPORTED):
        if (path / name).exists():
            return path / name
    if len(found := list(path.glob("*.keras"))) == 1:
        return found[0]
    raise UserError(f"{_RULE}\nThere is none in {path}.")


def open_predictor(model: Path, threads: int = 2) -> Predictor:
    """Load what `find_model` found.

    Args:
        model: The model's file or folder.
        threads: For a .tflite file. Defaults to 2.

    Raises:
        UserError: Where it can't be loaded, or takes or gives something else
            than a picture and probabilities.
    """
    if model.suffix.lower() == ".tflite":
        from kerafer.runtime.litert_predictor import LiteRTPredictor

        return LiteRTPredictor(model, threads)
    try:
        load_tensorflow()
    except ImportError as error:
        raise UserError(
            "Models other than .tflite files need a package that is missing "
            f"({error}):\n    pip install tensorflow"
        ) from None
    if model.is_dir():
        from kerafer.runtime.saved_model_predictor import SavedModelPredictor

        return SavedModelPredictor(model)
    from kerafer.runtime.keras_predictor import KerasPredictor

    return KerasPredictor(model)


def picture_shape(
    model: Path, inputs: tuple | list, outputs: tuple | list
) -> tuple[int, int, int]:
    """Height, width and channels, checked, of a model's input.

    Args:
        model: For the message.
        inputs: Shape of the input, the batch first.
        outputs: Shape of the output, the batch first.

    Raises:
        UserError: If the model is no classifier of pictures of one size.
    """
    fixed = [n is not None and n > 0 for n in (*inputs[1:], *outputs[1:])]
    if (
        len(inputs) != 4
        or len(outputs) != 2
        or not all(fixed)
        or inputs[3] not in (1, 3)
    ):
        raise UserError(
            "A model takes (batch, height, width, 1 or 3) and gives (batch, "
            f"classes). {model} takes {tuple(inputs)} and gives "
            f"{tuple(outputs)}."
        )
    return tuple(int(n) for n in inputs[1:])


_RULE = (
    "A model is a .tflite or .keras file, a SavedModel's folder, the folder of "
    "a training run or an export, or the name of one that is brought along: "
    f"{', '.join(shipped_names())}."
)
