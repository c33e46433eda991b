"""Models for Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerafer.runtime.predictors import picture_shape


class KerasPredictor:
    """A `.keras` file, run by Keras.

    Args:
        model: The file.

    Raises:
        UserError: If the file is no model that is safe to load, or takes or
            gives something else than a picture and probabilities.
    """

    def __init__(self, model: Path) -> None:
        from kerafer.models import load_model

        self._model = load_model(model)
        self.input_shape = picture_shape(
            model, self._model.input_shape, self._model.output_shape
        )
        self.classes = self._model.output_shape[1]

    def run(self, images: np.ndarray) -> np.ndarray:
        """The probabilities of pictures, as `Predictor.run` says."""
        return np.asarray(self._model.predict_on_batch(images), np.float32)
