"""Everything needed to predict with a model."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerafer.errors import ConfigError, UserError
from kerafer.files import digest
from kerafer.inference.backends import Backend, KerasBackend, open_backend
from kerafer.inference.input_range import CHOICES, PIXELS, UNKNOWN, InputRange
from kerafer.inference.model_source import ModelSource, check_labels
from kerafer.inference.probabilities import check_probabilities
from kerafer.inference.signature import TensorSpec, check_signature
from kerafer.model_files import DEFAULT_MODEL

if TYPE_CHECKING:
    import keras

_RESCALING = (
    "\nOr save a model that takes pixels of 0 to 255:\n"
    "    keras.Model(x, model(keras.layers.Rescaling(1 / 255)(x)))"
)


class ModelBundle:
    """A model with its labels, input size, range and crop margin.

    Made by `ModelBundle.load`. Threads may share one; they wait for each
    other while the model runs.

    Attributes:
        name: For messages and reports.
        source: The file and its metadata; `None` for a model in memory.
        backend: Runs the model.
        labels: Class names in the order of the outputs.
        input_shape: Height, width and channels.
        input_range: The values that the model takes.
        crop_margin: Added to a face's box on each side, as a fraction of its
            longer side; `None` for a model of whole images.
        vote_temperature: Divides the logits to get people's votes; `None` for
            a model that was not trained on votes.
    """

    def __init__(
        self,
        backend: Backend,
        source: ModelSource | None,
        name: str,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
        bgr: bool = False,
        logits: bool = False,
        image_size: int | None = None,
    ) -> None:
        self.backend = backend
        self._bgr = bgr
        self._logits = logits
        self.source = source
        self.name = name
        shown = name if source is None else os.fspath(source.file)
        inputs = backend.inputs
        if image_size is not None:
            inputs = [_with_sides(inputs[0], image_size), *inputs[1:]]
        self.input_shape = check_signature(shown, inputs, backend.outputs)
        if image_size not in (None, *self.input_shape[:2]):
            raise ConfigError(
                f"{shown} takes `image_size` {self.input_shape[0]}. Received: "
                f"{image_size}."
            )
        self.input_range = _input_range(backend, source, shown, input_range)
        shape = backend.outputs[0].shape or ()
        self._classes = int(shape[1] or 0)
        self.crop_margin = self.vote_temperature = None
        if source is not None:
            labels = source.labels if labels is None else labels
            self.crop_margin = source.crop_margin
            self.vote_temperature = source.vote_temperature
        self.labels = check_labels(labels, self._classes, shown)
        self._shown = shown
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | keras.Model | ModelSource | None = None,
        *,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
        bgr: bool = False,
        logits: bool = False,
        image_size: int | None = None,
        threads: int = 2,
        keras_only: bool = False,
    ) -> ModelBundle:
        """Open a model.

        Args:
            model: A `.tflite`, `.keras` or `.onnx` file; the folder of a
                SavedModel, a run or an export; the name of an included model;
                or a Keras model. Defaults to the included model.
            labels: Class names in the order of the outputs. Defaults to those
                in the file, in `labels.txt` beside it, or of the run.
            input_range: The values that the model takes, as
                `InputRange.parse` reads them, if neither the file's metadata
                nor its export or run tells. Without it `.tflite` files of
                floats are refused, and others get 0 to 255.
            bgr: Whether the model takes images in the order B, G, R. Default:
                `False`.
            logits: Whether the model gives logits; softmax is applied to them.
                Default: `False`.
            image_size: Height and width of the images for a model that takes
                any size. Default: that of the model.
            threads: For LiteRT and ONNX Runtime. Defaults to 2.
            keras_only: Whether to open the Keras model of a folder.

        Raises:
            UserError: If there is no such model, it cannot be opened, or it
                does not map images to the probabilities of named classes.
        """
        model = DEFAULT_MODEL if model is None else model
        source: Any = model
        options = (labels, input_range, bgr, logits, image_size)
        if hasattr(source, "predict_on_batch"):
            backend = KerasBackend(source)
            return cls(backend, None, source.name, *options)
        if not isinstance(source, ModelSource):
            source = ModelSource.find(source, keras_only)
        opened = open_backend(source.file, threads)
        return cls(opened, source, source.name, *options)

    @property
    def file(self) -> Path | None:
        """The model's file or SavedModel folder."""
        return None if self.source is None else self.source.file

    @property
    def run(self) -> Path | None:
        """The folder of the run whose best model it is."""
        return None if self.source is None else self.source.run

    @functools.cached_property
    def digest(self) -> str:
        """sha256 of the file, or of the weights of a model in memory."""
        if self.source is not None:
            return digest(self.source.file)
        from kerafer.models.save import digest_of_weights

        return digest_of_weights(self.keras_model)

    @property
    def keras_model(self) -> keras.Model:
        """The Keras model, which takes images in `input_range`.

        Raises:
            UserError: If it is of another format.
        """
        if not isinstance(self.backend, KerasBackend):
            raise UserError(f"{self._shown} is not a Keras model.")
        return self.backend.model

    def keras_model_of_pixels(self) -> keras.Model:
        """Return the Keras model, made to take pixels of 0 to 255."""
        model, taken = self.keras_model, self.input_range
        if taken == PIXELS:
            return model
        import keras

        mean, std = np.array(taken.mean), np.array(taken.std)
        image = keras.Input(self.input_shape)
        x = keras.layers.Rescaling((1 / std).tolist(), (-mean / std).tolist())(
            image
        )
        return keras.Model(image, model(x), name=model.name)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Predict the classes of images.

        Args:
            images: uint8 of shape `(images, *input_shape)`.

        Returns:
            Probabilities, float32 of shape `(images, classes)`.

        Raises:
            UserError: If the model gives something else, such as logits.
        """
        if not len(images):
            return np.empty((0, self._classes), np.float32)
        if self._bgr:
            images = images[..., ::-1]
        with self._lock:
            (answers,) = self.backend.run(self.input_range.apply(images))
        if self._logits:
            powers = np.exp(answers - answers.max(axis=1, keepdims=True))
            answers = powers / powers.sum(axis=1, keepdims=True)
        check_probabilities(answers, self._shown)
        return answers


def _with_sides(spec: TensorSpec, size: int) -> TensorSpec:
    """Fill in the height and width of an input that takes any size."""
    shape = spec.shape
    if shape is None or len(shape) != 4:
        return spec
    sides = [size if side in (None, -1) else side for side in shape[1:3]]
    return spec._replace(shape=[shape[0], *sides, shape[3]])


def _input_range(
    backend: Backend, source: ModelSource | None, model: str, given: str | None
) -> InputRange:
    """Decide which values a model takes.

    Raises:
        ConfigError: If they are not known and must not be guessed.
    """
    stated = None if given is None else InputRange.parse(given)
    known = _known_range(backend, source)
    if known not in (None, UNKNOWN):
        taken = InputRange.parse(known)
        if stated not in (None, taken):
            _warn(
                f"{model} takes {taken}, as its file says. `input_range` "
                f"{stated} is ignored for it."
            )
        return taken
    if stated is not None:
        return stated
    is_keras = isinstance(backend, KerasBackend)
    if known == UNKNOWN:
        raise ConfigError(
            f"{model} takes floats of an unknown range. Set `input_range` to "
            f"the values it was trained on: {CHOICES}.{_RESCALING * is_keras}"
        )
    scales = isinstance(backend, KerasBackend) and backend.scales_pixels
    if source is not None and not scales:
        _warn(
            f"Assuming that {model} takes pixels of 0 to 255. If it was "
            f"trained on other values, set `input_range`: {CHOICES}."
        )
    return PIXELS


def _known_range(backend: Backend, source: ModelSource | None) -> str | None:
    """The range that a file, its export or its run tells."""
    told = None if source is None else source.input_range
    if backend.inputs[0].dtype == "uint8" and told in (None, str(PIXELS)):
        return str(PIXELS)
    for found in (backend.input_range, told):
        if found not in (None, UNKNOWN):
            return found
    if UNKNOWN in (backend.input_range, told):
        return UNKNOWN
    is_run = source is not None and source.run is not None
    return str(PIXELS) if is_run else None


def _warn(text: str) -> None:
    # Takes long to import.
    from kerafer.console import console

    console.warn(text)
