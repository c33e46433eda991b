"""What a recognizer answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kerafer.faces.detector import Box


class Prediction(NamedTuple):
    """The expression on one image.

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


def percent(share: float) -> str:
    """A probability in whole percent, `">99"` where that would be 100."""
    return ">99" if share >= 0.995 else f"{int(100 * share + 0.5)}"


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


class Faces(list[FacePrediction]):
    """The faces on one image, the largest first.

    Args:
        faces: What was found. Defaults to none.
        problem: As the attribute. Defaults to `None`.

    Attributes:
        problem: Why there is none, such as that the file can't be read, or
            that the image was taken whole; else `None`.
    """

    def __init__(
        self, faces: Iterable[FacePrediction] = (), problem: str | None = None
    ) -> None:
        super().__init__(faces)
        self.problem = problem

    def __repr__(self) -> str:
        if self.problem is None:
            return super().__repr__()
        return f"Faces({super().__repr__()}, problem={self.problem!r})"
