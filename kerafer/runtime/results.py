"""Prediction results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from kerafer.faces.detector import Box
from kerafer.inference.probabilities import UNSURE_BELOW, as_votes

PEOPLE = 10


class Prediction(NamedTuple):
    """The expression on a face crop.

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


class Faces(list[FacePrediction]):
    """The faces on one image, the largest first.

    Args:
        faces: The faces. Defaults to none.
        problem: As the attribute. Defaults to `None`.

    Attributes:
        problem: Why there is no face, such as that the file cannot be read,
            or that the image was taken whole; else `None`.
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


def percent(share: float) -> str:
    """Format a probability in whole percent, `">99"` instead of 100."""
    return ">99" if share >= 0.995 else f"{int(100 * share + 0.5)}"


def is_unsure(probability: float) -> bool:
    """Whether the predicted class is less likely than all others together."""
    return probability < UNSURE_BELOW


def sure_label(label: str, probability: float) -> str:
    """Format a prediction: `happy 87 %`, below 50 % `unsure: happy 37 %`."""
    text = f"{label} {percent(probability)} %"
    return f"unsure: {text}" if is_unsure(probability) else text


def count_votes(
    probabilities: Mapping[str, float],
    temperature: float,
    people: int = PEOPLE,
) -> dict[str, int]:
    """Estimate how many of some people would name each expression.

    Args:
        probabilities: Of every class.
        temperature: The model's `vote_temperature`.
        people: How many are asked. Defaults to 10.

    Returns:
        The classes with at least one vote, the most frequent first; the
        numbers add up to `people` (largest remainders).
    """
    names = list(probabilities)
    values = np.array([*probabilities.values()], float)
    votes = people * as_votes(values, temperature)
    counts = np.floor(votes).astype(int)
    rest = np.argsort(counts - votes, kind="stable")
    counts[rest[: people - counts.sum()]] += 1
    order = np.lexsort((-values, -counts))
    return {names[i]: int(counts[i]) for i in order if counts[i]}


def show_votes(counts: Mapping[str, int]) -> str:
    """Format votes: `"estimated votes: happy 7, neutral 2, sad 1 of 10"`."""
    votes = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"estimated votes: {votes} of {sum(counts.values())}"
