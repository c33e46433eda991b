"""Scores against soft labels: the votes of several people."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from kerafer.evaluation.classification import classify
from kerafer.evaluation.panel import describe_panel, panel_curve
from kerafer.inference.probabilities import as_votes


@dataclasses.dataclass(frozen=True)
class VoteScores:
    """Scores against soft labels.

    Args:
        divergence: Mean Jensen-Shannon divergence between predictions and
            votes, in bits, 0 to 1.
        per_class: The same over the images of each class; `None` for a class
            without images.
        temperature: The vote temperature that was applied to the predictions.
        n_images: Number of images (protocol `all`).
        agreed: Number of images on which more than half of the people agree
            (protocol `majority`).
        accuracy: On those, 0 to 1; `None` without any.
        macro_f1: On those, 0 to 1; `None` without any.
        panel: Rows of `panel_curve` on all images; `None` if the number of
            votes is unknown.
    """

    divergence: float
    per_class: dict[str, float | None]
    temperature: float
    n_images: int
    agreed: int
    accuracy: float | None
    macro_f1: float | None
    panel: list[dict[str, float]] | None = None

    def describe_panel(self) -> str | None:
        """Say how large a panel of people is as good as the model."""
        return describe_panel(self.panel) if self.panel else None

    def as_dict(self) -> dict[str, Any]:
        """The same in plain numbers, for a JSON file."""
        return dataclasses.asdict(self)

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, value and number of images of every score, as text."""
        value = f"{self.divergence:.3f}"
        rows = [("Jensen-Shannon divergence to votes", value, "")]
        if self.agreed:
            of = f"{self.agreed:,} of {self.n_images:,} images"
            rows += [
                ("accuracy (majority)", f"{self.accuracy:.1%}", of),
                ("macro F1 (majority)", f"{self.macro_f1:.3f}", of),
            ]
        return rows


def score_votes(
    shares: np.ndarray,
    majority: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    temperature: float = 1.0,
    votes: np.ndarray | None = None,
) -> VoteScores:
    """Compare predictions with votes.

    Args:
        shares: Soft labels, of shape `(images, classes)`.
        majority: Whether more than half of the people agree on each image.
        labels: Class index of every image.
        probabilities: Of shape `(images, classes)`.
        class_names: In the order of the columns.
        temperature: As for `as_votes`. Default: 1.
        votes: Number of votes for each class and, in further columns, for
            none of them. Default: unknown.
    """
    read = as_votes(probabilities, temperature)
    # SciPy returns the square root of the divergence.
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
        panel=None
        if votes is None
        else panel_curve(votes, probabilities.argmax(axis=1)).to_dict(
            "records"
        ),
    )
