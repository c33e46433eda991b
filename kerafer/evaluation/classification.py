"""How well probabilities tell classes apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)


@dataclasses.dataclass(frozen=True)
class Classification:
    """The scores of one model on one set of pictures.

    Args:
        accuracy: Part of the pictures whose likeliest class is right.
        per_class: Index `class_names`; columns `precision`, `recall`, `f1` and
            `support` (pictures of that class).
        macro: `precision`, `recall` and `f1`, averaged over the classes.
        confusion: Counts of shape `(classes, classes)`, rows the truth.
    """

    accuracy: float
    per_class: pd.DataFrame
    macro: pd.Series
    confusion: np.ndarray

    def as_dict(self) -> dict[str, object]:
        """The same in plain numbers, lists and dictionaries."""
        return {
            "accuracy": self.accuracy,
            "macro": self.macro.to_dict(),
            "per_class": self.per_class.to_dict("index"),
            "confusion": self.confusion.tolist(),
            "n": int(self.confusion.sum()),
        }


def classify(
    labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...]
) -> Classification:
    """Score probabilities against the truth, by scikit-learn.

    A class that is never predicted has precision 0, one that is not among the
    pictures recall 0; both count in the macro averages.

    Args:
        labels: Class index of every picture, of shape `(pictures,)`.
        probabilities: Of shape `(pictures, classes)`.
        class_names: In the order of the columns.
    """
    predicted = probabilities.argmax(axis=1)
    columns = precision_recall_fscore_support(
        labels,
        predicted,
        labels=range(len(class_names)),
        zero_division=0,
    )
    per_class = pd.DataFrame(
        dict(
            zip(("precision", "recall", "f1", "support"), columns, strict=True)
        ),
        index=list(class_names),
    )
    return Classification(
        accuracy=float(accuracy_score(labels, predicted)),
        per_class=per_class,
        macro=per_class[["precision", "recall", "f1"]].mean(),
        confusion=confusion_matrix(
            labels, predicted, labels=range(len(class_names))
        ),
    )
