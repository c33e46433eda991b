"""How near a model's answers are to what several people said."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from kerafer.classifier import as_votes
from kerafer.evaluation.classification import classify


@dataclasses.dataclass(frozen=True)
class VoteScores:
    """What is measured where labels are shares of several people.

    Args:
        divergence: Mean Jensen-Shannon divergence between answers and votes,
            in bits, 0 to 1.
        per_class: The same over the images of each label, by class; `None` of
            one without images.
        temperature: That the answers were read at.
        n_images: How many images there are (protocol `all`).
        agreed: On how many of them more than half agree (`majority`).
        accuracy: On those, 0 to 1; `None` without any.
        macro_f1: Likewise.
    """

    divergence: float
    per_class: dict[str, float | None]
    temperature: float
    n_images: int
    agreed: int
    accuracy: float | None
    macro_f1: float | None

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return dataclasses.asdict(self)


def score_votes(
    shares: np.ndarray,
    majority: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    temperature: float = 1.0,
) -> VoteScores:
    """Compare answers with votes.

    Args:
        shares: Of shape `(images, classes)`.
        majority: On which images more than half agree, of shape `(images,)`.
        labels: Class index of every image.
        probabilities: Of shape `(images, classes)`.
        class_names: In the order of the columns.
        temperature: As for `kerafer.classifier.as_votes`. Defaults to 1.
    """
    read = as_votes(probabilities, temperature)
    # SciPy's is the root of the divergence.
    each = jensenshannon(read, shares, base=2, axis=1) ** 2
    per_class = {
        name: float(each[labels == index].mean())
        if (labels == index).any()
        else None
        for index, name in enumerate(class_names)
    }
    accuracy = macro_f1 = None
    if majority.any():
        agreed = classify(
            labels[majority], probabilities[majority], class_names
        )
        accuracy, macro_f1 = agreed.accuracy, float(agreed.macro["f1"])
    return VoteScores(
        float(each.mean()),
        per_class,
        temperature=temperature,
        n_images=len(labels),
        agreed=int(majority.sum()),
        accuracy=accuracy,
        macro_f1=macro_f1,
    )
