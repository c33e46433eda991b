"""Where a model is wrong and sure of it."""

from __future__ import annotations

import numpy as np
import pandas as pd


def surest_mistakes(
    labels: np.ndarray, probabilities: np.ndarray, most: int = 24
) -> pd.DataFrame:
    """The wrong answers with the highest probabilities, surest first.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        most: How many to return at most. Defaults to 24.

    Returns:
        `row` of the image, its `label`, the class `predicted` (both as
        indices) and the `probability` of that.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    predicted = probabilities.argmax(axis=1)
    rows = np.flatnonzero(predicted != labels)
    # Stable: of mistakes as sure, the first image comes first.
    order = np.argsort(-probabilities[rows, predicted[rows]], kind="stable")
    rows = rows[order][:most]
    return pd.DataFrame(
        {
            "row": rows,
            "label": labels[rows],
            "predicted": predicted[rows],
            "probability": probabilities[rows, predicted[rows]],
        }
    )
