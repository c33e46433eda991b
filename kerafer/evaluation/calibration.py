"""Whether a model that says 90 % is right nine times in ten."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kerafer.errors import UserError

BINS = 15


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """Sort images by how sure the model is, and see how often it is right.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        bins: Of equal width from 0 to 1, each with its upper edge. Defaults
            to 15.

    Returns:
        One row a bin: its edges `lower` and `upper`, the `n_images` whose
        likeliest class has a probability between them, the mean of those
        probabilities (`confidence`) and the part of the images that are
        right (`accuracy`). Both are NaN where there is no image.

    Raises:
        UserError: Where the arrays do not belong together, or without bins.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            "labels has the shape (images,) and probabilities (images, "
            f"classes). Received: {labels.shape} and {probabilities.shape}."
        )
    if bins < 1:
        raise UserError(f"bins is at least 1. Received: {bins}.")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    rows = np.searchsorted(edges, confidence, side="left") - 1
    rows = rows.clip(0, bins - 1)
    counts = np.bincount(rows, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [
            np.bincount(rows, weights=values, minlength=bins) / counts
            for values in (confidence, right)
        ]
    return pd.DataFrame(
        {
            "lower": edges[:-1],
            "upper": edges[1:],
            "n_images": counts,
            "confidence": means[0],
            "accuracy": means[1],
        }
    )


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """How far off a model's confidence is on average, from 0 to 1.

    The mean distance between confidence and accuracy of the bins of
    `reliability`, each bin weighted by its images: ECE of Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, with their 15 bins.
    Only the likeliest class counts.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        bins: Of equal width. Defaults to 15.

    Raises:
        UserError: Where the arrays do not belong together, or without bins.

    Example:
        >>> expected_calibration_error([0, 1], np.array([[0.9, 0.1]] * 2))
        0.4
    """
    table = reliability(labels, probabilities, bins)
    distance = (table["accuracy"] - table["confidence"]).abs()
    weight = table["n_images"] / max(table["n_images"].sum(), 1)
    return float((weight * distance).sum())
