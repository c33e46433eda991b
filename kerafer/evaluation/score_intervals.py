"""All that a model card tells of a file's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest

from kerafer.evaluation import (
    Interval,
)
from kerafer.evaluation.bootstrap import (
    CONFIDENCE,
    percentile_interval,
    resampled_sums,
)
from kerafer.evaluation.calibration import BINS
from kerafer.evaluation.predictions import checked_probabilities
from kerafer.evaluation.scores import Scores, drawn_groups, score_classes

SURE = 0.9


def measure_scores(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    subjects: np.ndarray | None = None,
) -> dict[str, Any]:
    """Score answers, with 95 % intervals, in plain numbers for a manifest.

    Accuracy and macro F1 have bootstrap intervals. Recall and precision of a
    class have Wilson's, or where people are known the bootstrap's over people,
    since images of one person rise and fall together. Where all images are
    right or none is, drawing again shows nothing else; the interval is then
    Wilson's of as many trials as there are people.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        class_names: In the order of the columns.
        subjects: Who is on each image. Defaults to nobody knows.

    Returns:
        `n_images`, `intervals` (`over` `"people"` or `"images"`, `of` how
        many), `accuracy`, `macro_f1` and their `..._interval`, `classes` with
        `n_images`, `recall`, `precision`, `f1` and intervals of each class
        (`None` where there is nothing to divide by), `confusion` with a row
        for each true class, `calibration` and `notes`.

    Raises:
        UserError: For numbers that are no probabilities, or one image only.
    """
    probabilities = checked_probabilities(probabilities, "The exported file")
    predicted = probabilities.argmax(axis=1)
    groups = drawn_groups(subjects)
    scores = score_classes(labels, probabilities, class_names, groups)
    found = scores.classification
    return {
        "n_images": len(labels),
        "intervals": {"over": scores.over, "of": scores.groups},
        "accuracy": found.accuracy,
        "accuracy_interval": list(scores.intervals["accuracy"]),
        "macro_f1": float(found.macro["f1"]),
        "macro_f1_interval": list(scores.intervals["macro_f1"]),
        "classes": _classes(scores, labels, predicted, groups),
        "confusion": found.confusion.tolist(),
        "calibration": _calibration(scores, labels, probabilities),
        "notes": scores.notes(),
    }


def _classes(
    scores: Scores,
    labels: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray | None,
) -> dict[str, Any]:
    table = scores.classification.per_class
    classes: dict[str, dict[str, Any]] = {}
    for index, (name, row) in enumerate(table.iterrows()):
        true, taken = labels == index, predicted == index
        classes[name] = {"n_images": int(row.support), "f1": float(row.f1)}
        for score, among in (("recall", true), ("precision", taken)):
            interval = _interval(true & taken, among, groups)
            classes[name][score] = interval and float(row[score])
            classes[name][f"{score}_interval"] = interval and list(interval)
    return classes


def _interval(
    right: np.ndarray, among: np.ndarray, groups: np.ndarray | None
) -> Interval | None:
    """Of the share of `among` that is right, two masks over the images."""
    if not among.any():
        return None
    if groups is None:
        return _wilson(int(right.sum()), int(among.sum()))
    share = right.sum() / among.sum()
    if share in (0, 1):
        people = len(set(groups[among]))
        return _wilson(int(share) * people, people)
    sums = resampled_sums(np.stack([right, among], axis=1), groups)
    sums = sums[sums[:, 1] > 0]
    return percentile_interval(sums[:, 0] / sums[:, 1])


def _calibration(
    scores: Scores, labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    sure = confidence >= SURE
    return {
        "bins": BINS,
        "expected_calibration_error": scores.calibration_error,
        "mean_confidence": float(confidence.mean()),
        "sure": {
            "at_least": SURE,
            "n_images": int(sure.sum()),
            "right": int((sure & right).sum()),
        },
    }


def _wilson(right: int, total: int) -> Interval:
    """No single point where all or none are right, as the bootstrap's is."""
    interval = binomtest(right, total).proportion_ci(CONFIDENCE, "wilson")
    return Interval(float(interval.low), float(interval.high))
