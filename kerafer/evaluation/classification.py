"""Accuracy, precision, recall and confusion matrix."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)


@dataclasses.dataclass(frozen=True)
class Classification:
    """The scores of one model on one set of images.

    Args:
        accuracy: Fraction of the images whose predicted class is right.
        balanced_accuracy: Mean recall of the classes that have images.
        top_2: Fraction of the images whose class is one of the two most
            probable.
        log_loss: Mean of -ln of the right class's probability; NaN if the
            values are not probabilities.
        per_class: Index `class_names`; columns `precision`, `recall`, `f1` and
            `support` (number of images of the class).
        macro: Mean `precision`, `recall` and `f1` of the classes that have
            images.
        confusion: Counts of shape `(classes, classes)`, rows the truth.
    """

    accuracy: float
    balanced_accuracy: float
    top_2: float
    log_loss: float
    per_class: pd.DataFrame
    macro: pd.Series
    confusion: np.ndarray

    def notes(self) -> list[str]:
        """Say what the scores do not show by themselves."""
        notes = []
        support = self.per_class["support"]
        absent = list(support.index[support == 0])
        if absent:
            notes.append(
                f"No image is of {', '.join(absent)}: the means of classes "
                "leave that out."
            )
        most = support.max() / support.sum()
        if self.accuracy <= most and len(support) - len(absent) > 1:
            notes.append(
                "The model has learned nothing that shows: always predicting "
                f"{support.idxmax()} would be right on {most:.1%}, and it is "
                f"right on {self.accuracy:.1%}."
            )
        return notes

    def as_dict(self) -> dict[str, object]:
        """The same in plain numbers, lists and dictionaries; NaN is `None`."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "top_2": self.top_2,
            "log_loss": None if np.isnan(self.log_loss) else self.log_loss,
            "macro": self.macro.to_dict(),
            "per_class": self.per_class.to_dict("index"),
            "confusion": self.confusion.tolist(),
            "n_images": int(self.confusion.sum()),
        }


def classify(
    labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...]
) -> Classification:
    """Score probabilities against the truth, with scikit-learn.

    A class that is never predicted has precision 0, which counts in the macro
    averages. A class without images does not count.

    The log loss divides each row by its sum, because the outputs of a
    quantised model may not sum to 1; a probability of 0 counts as 2.2e-16.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        class_names: In the order of the columns.
    """
    probabilities = np.asarray(probabilities, np.float64)
    predicted = probabilities.argmax(axis=1)
    classes = range(len(class_names))
    columns = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    per_class = pd.DataFrame(
        dict(
            zip(("precision", "recall", "f1", "support"), columns, strict=True)
        ),
        index=list(class_names),
    )
    there = per_class["support"] > 0
    return Classification(
        accuracy=float(accuracy_score(labels, predicted)),
        # scikit-learn's own warns of predicted classes that are not there.
        balanced_accuracy=float(per_class["recall"][there].mean()),
        top_2=_top_2(labels, probabilities),
        log_loss=_log_loss(labels, probabilities),
        per_class=per_class,
        macro=per_class.loc[there, ["precision", "recall", "f1"]].mean(),
        confusion=confusion_matrix(labels, predicted, labels=classes),
    )


def _top_2(labels: np.ndarray, probabilities: np.ndarray) -> float:
    classes = probabilities.shape[1]
    if classes <= 2:
        return 1.0
    # A model that diverged answers NaN, which scikit-learn refuses.
    finite = np.nan_to_num(probabilities)
    return float(
        top_k_accuracy_score(labels, finite, k=2, labels=range(classes))
    )


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    sums = probabilities.sum(axis=1, keepdims=True)
    if not np.isfinite(sums).all() or (probabilities < 0).any():
        return float("nan")
    classes = probabilities.shape[1]
    if classes < 2 or not sums.all():
        return float("nan")
    return float(log_loss(labels, probabilities / sums, labels=range(classes)))


def surest_mistakes(
    labels: np.ndarray, probabilities: np.ndarray, most: int = 24
) -> pd.DataFrame:
    """Find the wrong predictions with the highest probabilities.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        most: Maximum number of rows. Default: 24.

    Returns:
        `row` of the image, its `label`, the class `predicted` (indices) and
        its `probability`, highest first.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    predicted = probabilities.argmax(axis=1)
    rows = np.flatnonzero(predicted != labels)
    # Stable: of equal probabilities, the first image comes first.
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
