"""Calibration: is a model that says 90 % right nine times in ten?"""

from __future__ import annotations

import numpy as np
import pandas as pd

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
    """
    confidence = np.max(probabilities, axis=1)
    right = np.argmax(probabilities, axis=1) == np.asarray(labels)
    edges = np.linspace(0, 1, bins + 1)
    # Rounding may give a probability of a hair above 1.
    places = np.searchsorted(edges, confidence).clip(1, bins) - 1
    table = pd.DataFrame({"confidence": confidence, "accuracy": right})
    grouped = table.groupby(places)
    found = grouped.mean().reindex(range(bins))
    found.insert(0, "n_images", grouped.size().reindex(range(bins)).fillna(0))
    found.insert(0, "upper", edges[1:])
    found.insert(0, "lower", edges[:-1])
    return found.astype({"n_images": int})


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

    Example:
        >>> expected_calibration_error([0, 1], np.array([[0.9, 0.1]] * 2))
        0.4
    """
    table = reliability(labels, probabilities, bins)
    distance = (table["accuracy"] - table["confidence"]).abs()
    return float((table["n_images"] * distance).sum() / len(labels))
