"""Models of every kind behind one interface."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kerafer.classifier import check_probabilities
from kerafer.engine import load_backend, load_tensorflow
from kerafer.errors import UserError
from kerafer.extras import extra_for
from kerafer.model_files import keras_file_in, model_path, shipped_names

if TYPE_CHECKING:
    import keras

# In an exported folder the first of these that is there answers. float16 has
# float32's answers at half the size; TensorFlow comes last.
EXPORTED = (
    "float16.tflite",
    "float32.tflite",
    "int8.tflite",
    "dynamic.tflite",
    "saved_model",
)


class Engine(Protocol):
    """What runs a model of one kind; one call at a time.

    Attributes:
        input_shape: Height, width and channels of the images it takes.
        classes: How many outputs it has.
    """

    input_shape: tuple[int, int, int]
    classes: int

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Predictor.run` says, not checked yet."""


class Predictor:
    """A model that is loaded, safe to be called from several threads.

    They wait for each other. An engine for each thread is no faster where the
    engine has a thread for each core: with the model that the package brings
    along, two cores and LiteRT's two threads, it gave 1.03 times as many
    answers a second (float16; 0.86 to 1.12 times in 8 bits). With LiteRT's
    one thread it gave twice as many; who wants that has a `Predictor` for
    each thread.

    Args:
        model: For messages.
        engine: Runs it.

    Attributes:
        input_shape: Height, width and channels of the images it takes.
        classes: How many outputs it has.
    """

    def __init__(self, model: Path | str, engine: Engine) -> None:
        self.input_shape = engine.input_shape
        self.classes = engine.classes
        self._model = model
        self._engine = engine
        self._lock = threading.Lock()

    def run(self, images: np.ndarray) -> np.ndarray:
        """The probabilities of images.

        Args:
            images: uint8 of shape `(images, *input_shape)`.

        Returns:
            float32 of shape `(images, classes)`.

        Raises:
            UserError: Where the model gives no probabilities.
        """
        with self._lock:
            answers = self._engine.run(images)
        check_probabilities(answers, self._model)
        return answers


def find_model(path: str | os.PathLike[str]) -> Path:
    """The model that a path stands for.

    Args:
        path: The name of a model that the package brings along, or a path:
            a `.tflite`, `.keras` or `.onnx` file, a SavedModel's folder, the
            folder of a run (its `best.keras`) or of an export (the first of
            `EXPORTED` that is there, else its Keras model, else its
            `model.onnx`).

    Raises:
        UserError: Where there is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"{_RULE} Received: {type(path).__name__}.")
    path = model_path(path)
    if path.is_file():
        if path.suffix.lower() in (".tflite", ".keras", ".onnx"):
            return path
        raise UserError(f"{_RULE} Received: {path}.")
    if not path.exists():
        raise UserError(f"{_RULE}\nThere is no {path}.")
    if (path / "saved_model.pb").is_file():
        return path
    for name in ("best.keras", *EXPORTED):
        if (path / name).exists():
            return path / name
    if (found := keras_file_in(path)) is not None:
        return found
    if (path / "model.onnx").is_file():
        return path / "model.onnx"
    raise UserError(f"{_RULE}\nThere is none in {path}.")


def open_predictor(model: Path | keras.Model, threads: int = 2) -> Predictor:
    """Load what `find_model` found.

    Args:
        model: The model's file or folder, or one of Keras' in memory.
        threads: For a .tflite or .onnx file. Defaults to 2.

    Raises:
        UserError: Where it can't be loaded, or takes or gives something else
            than an image and the probabilities of its classes.
    """
    name = model if isinstance(model, Path) else model.name
    return Predictor(name, _engine(model, threads))


def _engine(model: Path | keras.Model, threads: int) -> Engine:
    suffix = model.suffix.lower() if isinstance(model, Path) else ""
    if suffix == ".tflite":
        from kerafer.runtime.engines import LiteRTEngine

        return LiteRTEngine(model, threads)
    if suffix == ".onnx":
        from kerafer.runtime.engines import OnnxEngine

        return OnnxEngine(model, threads)
    with extra_for("A model other than a .tflite file"):
        # A SavedModel is TensorFlow's, a .keras file any backend's.
        if isinstance(model, Path) and model.is_dir():
            load_tensorflow()
            from kerafer.runtime.engines import SavedModelEngine

            return SavedModelEngine(model)
        load_backend()
        from kerafer.runtime.engines import KerasEngine

        return KerasEngine(model)


_RULE = (
    "A model is a .tflite, .keras or .onnx file, a SavedModel's folder, the "
    "folder of a training run or an export, or the name of one that is brought "
    f"along: {', '.join(shipped_names())}."
)
