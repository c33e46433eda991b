"""Models for Keras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


class KerasEngine:
    """A model of Keras', run by Keras.

    Args:
        model: A `.keras` file, or the model.

    Raises:
        UserError: If the file is no model that is safe to load, or the model
            takes or gives something else than an image and probabilities.
    """

    def __init__(self, model: Path | keras.Model) -> None:
        from kerafer.models.load import as_classifier, load_classifier

        if isinstance(model, Path):
            self._model = load_classifier(model)
        else:
            self._model = as_classifier(model, model.name)
        self.input_shape = self._model.input_shape[1:]
        self.classes = self._model.output_shape[1]

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        if not len(images):
            return np.empty((0, self.classes), np.float32)
        return np.asarray(self._model.predict_on_batch(images), np.float32)
