"""Models for TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kerafer.classifier import Tensor, image_shape
from kerafer.errors import UserError, first_line


class SavedModelEngine:
    """A SavedModel, run by TensorFlow through its `serving_default`.

    A SavedModel is a program and may read and write files: load only those
    whose origin you know.

    Args:
        model: The folder.

    Raises:
        UserError: If the folder can't be loaded, or the model takes or gives
            something else than an image and probabilities.
    """

    def __init__(self, model: Path) -> None:
        import tensorflow as tf

        try:
            # The module owns the variables that the signature uses.
            self._module = tf.saved_model.load(str(model))
            self._serve = self._module.signatures["serving_default"]
        # Of a damaged one TensorFlow raises nearly every error.
        except Exception as error:
            raise UserError(
                "A SavedModel is whole and has the signature serving_default. "
                f"{model} can't be loaded: {first_line(error)}"
            ) from None
        inputs = list(self._serve.structured_input_signature[1].items())
        outputs = list(self._serve.structured_outputs.items())
        self.input_shape = image_shape(
            model,
            [_tensor(one) for _, one in inputs],
            [_tensor(one) for _, one in outputs],
        )
        self._name, given = inputs[0]
        self._answer, answer = outputs[0]
        self.classes = int(answer.shape[1])
        self._dtype = given.dtype
        self._batch = given.shape[0]
        if self._batch not in (None, 1):
            raise UserError(
                "A model takes one picture at a time, or any number. "
                f"{model} takes {self._batch}."
            )

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        if self._batch is None or not len(images):
            return self._call(images)
        return np.concatenate([self._call(image[None]) for image in images])

    def _call(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if not len(images):
            return np.empty((0, self.classes), np.float32)
        batch = tf.cast(images, self._dtype)
        answer = self._serve(**{self._name: batch})[self._answer]
        return answer.numpy().astype(np.float32)


def _tensor(spec: Any) -> Tensor:
    known = spec.shape.rank is not None
    return spec.shape.as_list() if known else None, spec.dtype.name
