"""Models for Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np


class KerasEngine:
    """A `.keras` file, run by Keras.

    Args:
        model: The file.

    Raises:
        UserError: If the file is no model that is safe to load, or takes or
            gives something else than an image and probabilities.
    """

    def __init__(self, model: Path) -> None:
        from kerafer.models.load import load_classifier

        self._model = load_classifier(model)
        self.input_shape = self._model.input_shape[1:]
        self.classes = self._model.output_shape[1]

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        if not len(images):
            return np.empty((0, self.classes), np.float32)
        return np.asarray(self._model.predict_on_batch(images), np.float32)
