"""What a recognizer answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kerafer.runtime.face_detector import Box


class Prediction(NamedTuple):
    """The expression on one picture.

    Args:
        label: The class of the highest probability.
        probabilities: Of every class, in the model's order.
    """

    label: str
    probabilities: dict[str, float]

    @classmethod
    def of(
        cls, labels: tuple[str, ...], probabilities: np.ndarray
    ) -> Prediction:
        """Name the entries of an array of shape `(classes,)`."""
        named = dict(zip(labels, probabilities.tolist(), strict=True))
        return cls(labels[int(probabilities.argmax())], named)


class FacePrediction(NamedTuple):
    """The expression of one face; unpacks to box, label and probabilities.

    Args:
        box: x, y, width and height of the face, pixels.
        label: The class of the highest probability.
        probabilities: Of every class, in the model's order.
    """

    box: Box
    label: str
    probabilities: dict[str, float]
