"""Bootstrap confidence intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from kerafer.errors import UserError

RESAMPLES = 2000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Lower and upper end of a confidence interval."""

    low: float
    high: float


def bootstrap_intervals(
    labels: np.ndarray,
    predicted: np.ndarray,
    num_classes: int,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute percentile bootstrap intervals of a classifier's scores.

    Each resample draws as many groups as there are, with repetition and with
    all their images. Images of one person resemble each other, so drawing
    single images would give intervals that are too narrow. Source: Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        predicted: Class that the model predicts, of the same shape.
        num_classes: Number of classes.
        groups: Who is on each image. Default: a group for each image.
        resamples: Number of draws. Default: 2,000.
        confidence: Fraction of the results in the interval. Default: 0.95.
        seed: Of the draws. Default: 0.

    Returns:
        The intervals of `accuracy`, `balanced_accuracy` and `macro_f1`, as
        `classify` defines them.

    Raises:
        UserError: For fewer than two groups.
    """
    classes = np.arange(num_classes)
    true = np.asarray(labels)[:, None] == classes
    taken = np.asarray(predicted)[:, None] == classes
    counts = np.concatenate([true & taken, true, taken], axis=1)
    sums = resampled_sums(counts, groups, resamples, seed)
    right, support, answers = np.split(sums, 3, axis=1)
    there = support > 0
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + answers, 1)
    scores = {
        "accuracy": right.sum(axis=1) / support.sum(axis=1),
        "balanced_accuracy": recall.sum(axis=1) / there.sum(axis=1),
        "macro_f1": (f1 * there).sum(axis=1) / there.sum(axis=1),
    }
    return {
        name: percentile_interval(values, confidence)
        for name, values in scores.items()
    }


def resampled_sums(
    values: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Sum columns over groups drawn with repetition.

    Args:
        values: Numbers of shape `(images, columns)`.
        groups: Who is on each image. Default: a group for each image.
        resamples: Number of draws. Default: 2,000.
        seed: Of the draws. Default: 0.

    Returns:
        float64 of shape `(resamples, columns)`.

    Raises:
        UserError: If an image has no group, or for fewer than two groups.
    """
    table = pd.DataFrame(np.asarray(values) * 1)
    if groups is not None:
        if len(groups) != len(table) or pd.isna(groups).any():
            raise UserError(
                "`groups` must have an entry for each image. Received: "
                f"{pd.Series(groups).count()} for {len(table)} images."
            )
        table = table.groupby(np.asarray(groups), sort=False).sum()
    if len(table) < 2:
        raise UserError(
            f"Cannot compute an interval from {len(table)} people or images. "
            "At least 2 are needed."
        )
    # Draw groups with equal sums together: the same distribution, and single
    # images become a handful of kinds.
    kinds, repeats = np.unique(table.to_numpy(), axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(
        len(table), repeats / len(table), size=resamples
    )
    return drawn.astype(np.float64) @ kinds


def percentile_interval(
    values: np.ndarray, confidence: float = CONFIDENCE
) -> Interval:
    """The middle `confidence` of the values, as an interval."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(float(low), float(high))
