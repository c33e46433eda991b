"""How much scores would move with other people or images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from kerafer.errors import UserError

RESAMPLES = 2000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Where a number is to be expected.

    Args:
        low: Lower end.
        high: Upper end.
    """

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
    """Percentile bootstrap intervals of a classifier's scores.

    As many groups as there are are drawn with repetition, all images of a
    group together, and the scores are computed again; the interval leaves out
    as many of the results at both ends. Images of one person resemble each
    other, so drawing single images where people have several gives
    intervals that are too narrow. Source: Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993, chapters 8 and 13.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        predicted: Likewise, what the model takes it for.
        num_classes: How many classes there are.
        groups: Who is on each image. Defaults to a group for each image.
        resamples: How often to draw. Defaults to 2,000.
        confidence: Part of the results in the interval. Defaults to 0.95.
        seed: Fixes what is drawn. Defaults to 0.

    Returns:
        The intervals of `accuracy`, `balanced_accuracy` and `macro_f1`, each
        computed as by `classify`.

    Raises:
        UserError: Where the arrays do not belong together, or with fewer than
            two groups.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise UserError(
            "labels and predicted have the shape (images,). Received: "
            f"{labels.shape} and {predicted.shape}."
        )
    classes = np.arange(num_classes)
    true = labels[:, None] == classes
    taken = predicted[:, None] == classes
    counts = np.concatenate([true & taken, true, taken], axis=1)
    sums = resampled_sums(counts, groups, resamples, seed)
    right, support, answers = np.split(sums, 3, axis=1)
    there = support > 0
    recall = np.divide(right, support, where=there, out=np.zeros_like(right))
    both = support + answers
    f1 = np.divide(2 * right, both, where=both > 0, out=np.zeros_like(right))
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
    counts: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Column sums over groups drawn with repetition.

    Args:
        counts: Whole numbers of shape `(images, columns)`.
        groups: Who is on each image. Defaults to a group for each image.
        resamples: How often to draw. Defaults to 2,000.
        seed: Fixes what is drawn. Defaults to 0.

    Returns:
        float64 of shape `(resamples, columns)`.

    Raises:
        UserError: With another number of groups than of images, or fewer
            than two different ones.
    """
    counts = np.asarray(counts).astype(np.int64)
    if groups is not None:
        if len(groups) != len(counts):
            raise UserError(
                "groups names one for each image. Received: "
                f"{len(groups)} for {len(counts)} images."
            )
        codes, names = pd.factorize(np.asarray(groups))
        if (codes < 0).any():
            raise UserError(
                "groups names one for each image. Received none for "
                f"{int((codes < 0).sum())} of {len(counts)} images."
            )
        sums = np.zeros((len(names), counts.shape[1]), np.int64)
        np.add.at(sums, codes, counts)
        counts = sums
    total = len(counts)
    if total < 2:
        raise UserError(
            "An interval needs at least 2 people or images to draw from. "
            f"Received: {total}."
        )
    # Groups with the same sums are drawn together: the distribution is the
    # same, and single images become a handful of kinds.
    kinds, repeats = np.unique(counts, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(total, repeats / total, size=resamples)
    return drawn.astype(np.float64) @ kinds


def percentile_interval(
    values: np.ndarray, confidence: float = CONFIDENCE
) -> Interval:
    """The middle part of values.

    Args:
        values: What the resamples gave.
        confidence: How large the part is. Defaults to 0.95.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(float(low), float(high))
