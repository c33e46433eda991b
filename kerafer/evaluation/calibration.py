"""Calibration: is a model that says 90 % right nine times in ten?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from kerafer.errors import UserError

BINS = 15


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """Compare confidence with accuracy, in bins of confidence.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        bins: Of equal width from 0 to 1, each with its upper edge. Default:
            15.

    Returns:
        One row a bin: its edges `lower` and `upper`; `n_images`, how many
        images have a predicted class with a probability in between; the mean
        of those probabilities (`confidence`) and the fraction of the images
        that are right (`accuracy`). Both are NaN without images.

    Raises:
        UserError: If the shapes differ, or for fewer than one bin.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            f"Shapes do not match: labels {labels.shape}, probabilities "
            f"{probabilities.shape}. They must be (images,) and (images, "
            "classes)."
        )
    if bins < 1:
        raise UserError(f"`bins` must be at least 1. Received: {bins}.")
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
    """Measure how far confidence is from accuracy on average, 0 to 1.

    The mean distance between confidence and accuracy of the bins of
    `reliability`, weighted by their images: ECE of Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, with their 15 bins.
    Only the predicted class counts.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        bins: Of equal width. Default: 15.

    Raises:
        UserError: As `reliability`.

    Example:
        >>> expected_calibration_error([0, 1], np.array([[0.9, 0.1]] * 2))
        0.4
    """
    table = reliability(labels, probabilities, bins)
    distance = (table["accuracy"] - table["confidence"]).abs()
    weight = table["n_images"] / max(table["n_images"].sum(), 1)
    return float((weight * distance).sum())
