"""Accuracy, precision, recall and confusion matrix."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
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
        """Warn of classes without images and of a model that knows nothing."""
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
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities, np.float64)
    ranked = np.argsort(probabilities, axis=1, kind="stable")
    predicted = probabilities.argmax(axis=1)
    classes = range(len(class_names))
    scores = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    columns = ("precision", "recall", "f1", "support")
    per_class = pd.DataFrame(
        dict(zip(columns, scores, strict=True)), index=list(class_names)
    )
    macro = per_class.loc[per_class["support"] > 0, list(columns[:3])].mean()
    return Classification(
        accuracy=float((predicted == labels).mean()),
        # scikit-learn's own warns of predicted classes that are not there.
        balanced_accuracy=float(macro["recall"]),
        top_2=float((ranked[:, -2:] == labels[:, None]).any(axis=1).mean()),
        log_loss=_log_loss(labels, probabilities),
        per_class=per_class,
        macro=macro,
        confusion=confusion_matrix(labels, predicted, labels=classes),
    )


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        rows = probabilities / probabilities.sum(axis=1, keepdims=True)
    if not ((probabilities >= 0) & np.isfinite(rows)).all():
        return float("nan")
    return float(log_loss(labels, rows, labels=range(rows.shape[1])))


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
    table = pd.DataFrame(
        {
            "row": np.arange(len(labels)),
            "label": labels,
            "predicted": probabilities.argmax(axis=1),
            "probability": probabilities.max(axis=1),
        }
    )
    wrong = table[table["label"] != table["predicted"]]
    # Stable: of equal probabilities, the first image comes first.
    return wrong.sort_values(
        "probability", ascending=False, kind="stable", ignore_index=True
    ).head(most)
