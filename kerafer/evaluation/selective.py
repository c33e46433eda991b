"""Selective prediction: answer only where the model is sure enough."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from kerafer.evaluation.bootstrap import percentile_interval, resampled_sums

_STEPS = 20
# A threshold from fewer predictions would be chance.
_FEWEST = 10
_NEVER = 1.01


def risk_coverage(
    labels: np.ndarray, probabilities: np.ndarray, steps: int = _STEPS
) -> pd.DataFrame:
    """Measure the accuracy on the images that a model is most sure of.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        steps: Number of rows. Default: 20.

    Returns:
        Rows of equal steps in `coverage`, the fraction of the images that are
        answered, up to 1: the `min_score` that answers so many (the lowest
        probability of their predicted classes), and their `accuracy`.
    """
    scores = np.max(probabilities, axis=1)
    order = np.argsort(-scores, kind="stable")
    right = (np.argmax(probabilities, axis=1) == labels)[order]
    counts = np.ceil(np.linspace(0, len(right), steps + 1)[1:]).astype(int)
    return pd.DataFrame(
        {
            "coverage": counts / len(right),
            "min_score": scores[order][counts - 1],
            "accuracy": right.cumsum()[counts - 1] / counts,
        }
    )


@dataclasses.dataclass(frozen=True)
class Selective:
    """Thresholds for answers, fitted on some images and tested on others.

    Args:
        target_accuracy: What the thresholds were fitted for.
        min_scores: By class, the lowest probability of a prediction that is
            answered; above 1 for a class that is never answered.
        fitted_on: Number of images that the thresholds were fitted on.
        n_images: Number of images that they were tested on.
        coverage: Fraction of those that are answered.
        accuracy: Fraction of the answers that are right; `None` without any.
        interval: Bootstrap interval of the accuracy.
    """

    target_accuracy: float
    min_scores: dict[str, float]
    fitted_on: int
    n_images: int
    coverage: float
    accuracy: float | None
    interval: tuple[float, float] | None

    def describe(self) -> str:
        """Say in one sentence how often it answers, and how often rightly."""
        if self.accuracy is None or self.interval is None:
            return "With the thresholds per class, no image is answered."
        low, high = self.interval
        return (
            f"{self.accuracy:.1%} correct (95 % interval {100 * low:.1f} to "
            f"{high:.1%}) on the {self.coverage:.0%} of the images it answers, "
            f"with thresholds per class for {self.target_accuracy:.0%}, fitted "
            f"on {self.fitted_on:,} other images."
        )

    def as_dict(self) -> dict[str, Any]:
        """The same in plain numbers, for a JSON file."""
        return dataclasses.asdict(self)


def fit_min_scores(
    labels: np.ndarray, probabilities: np.ndarray, target_accuracy: float
) -> np.ndarray:
    """Find the lowest threshold of each class that reaches an accuracy.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        target_accuracy: Of the predictions of each class that are answered.

    Returns:
        A probability for each class. If fewer than 10 predictions of a class
        reach the accuracy, it is that of all classes together; 1.01 if that
        does not exist either.
    """
    scores = np.max(probabilities, axis=1)
    predicted = np.argmax(probabilities, axis=1)
    right = predicted == labels

    def lowest(here: np.ndarray, fewest: int) -> float | None:
        order = np.argsort(-scores[here], kind="stable")
        ranked, counts = scores[here][order], np.arange(1, here.sum() + 1)
        enough = right[here][order].cumsum() >= target_accuracy * counts
        enough &= counts >= fewest
        # Predictions with equal probabilities are answered together.
        enough[:-1] &= ranked[:-1] > ranked[1:]
        return float(ranked[enough][-1]) if enough.any() else None

    general = lowest(np.ones_like(right), 1) or _NEVER
    classes = range(probabilities.shape[1])
    return np.array(
        [lowest(predicted == i, _FEWEST) or general for i in classes]
    )


def select(
    fitted: tuple[np.ndarray, np.ndarray],
    tested: tuple[np.ndarray, np.ndarray],
    class_names: tuple[str, ...],
    target_accuracy: float,
    groups: np.ndarray | None = None,
) -> Selective:
    """Fit thresholds on labels and probabilities, and test them on others.

    Args:
        fitted: Class indices, `(images,)`, and probabilities,
            `(images, classes)`, that choose the thresholds.
        tested: Those of other images.
        class_names: In the order of the columns.
        target_accuracy: As for `fit_min_scores`.
        groups: Who is on each tested image. Default: a group for each image.
    """
    thresholds = fit_min_scores(*fitted, target_accuracy)
    labels, probabilities = tested
    predicted = np.argmax(probabilities, axis=1)
    answered = np.max(probabilities, axis=1) >= thresholds[predicted]
    right = answered & (predicted == labels)
    accuracy = interval = None
    if answered.any():
        accuracy = float(right.sum() / answered.sum())
        sums = resampled_sums(np.stack([right, answered], axis=1), groups)
        sums = sums[sums[:, 1] > 0]
        interval = percentile_interval(sums[:, 0] / sums[:, 1])
    return Selective(
        target_accuracy,
        dict(zip(class_names, thresholds.tolist(), strict=True)),
        fitted_on=len(fitted[0]),
        n_images=len(labels),
        coverage=float(answered.mean()),
        accuracy=accuracy,
        interval=interval,
    )
