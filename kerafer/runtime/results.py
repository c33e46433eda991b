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
        label: The class of the highest probability; empty if that is below
            the `min_score` of the recognizer.
        probabilities: Of every class, in the model's order.
    """

    label: str
    probabilities: dict[str, float]

    @classmethod
    def of(
        cls,
        labels: tuple[str, ...],
        probabilities: np.ndarray,
        min_scores: Mapping[str, float] | None = None,
    ) -> Prediction:
        """Name the entries of an array of shape `(classes,)`.

        Args:
            labels: The class names.
            probabilities: Of every class. Those of 8-bit models do not quite
                sum to 1; they are divided by their sum for `min_scores`.
            min_scores: By class, the lowest probability that is answered.
                Default: every face is answered.
        """
        named = dict(zip(labels, probabilities.tolist(), strict=True))
        label = labels[int(probabilities.argmax())]
        if min_scores and named[label] < min_scores[label] * sum(
            named.values()
        ):
            label = ""
        return cls(label, named)


class FacePrediction(NamedTuple):
    """The expression of one face; unpacks to box, label and probabilities.

    Args:
        box: x, y, width and height of the face, pixels.
        label: The class of the highest probability; empty if that is below
            the `min_score` of the recognizer.
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


def best_of(probabilities: Mapping[str, float]) -> tuple[str, float]:
    """Return the most probable class and its probability."""
    return max(probabilities.items(), key=lambda item: item[1])


def sure_label(label: str, probabilities: Mapping[str, float]) -> str:
    """Format a prediction: `happy 87 %`.

    Below 50 %, or without a label, it is `unsure: happy 37 %`.
    """
    name, probability = best_of(probabilities)
    text = f"{name} {percent(probability)} %"
    return text if label and not is_unsure(probability) else f"unsure: {text}"


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
