"""All scores of one model on some images, with their intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from kerafer.evaluation.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    bootstrap_intervals,
    percentile_interval,
    resampled_sums,
)
from kerafer.evaluation.calibration import (
    expected_calibration_error,
    reliability,
)
from kerafer.evaluation.classification import Classification, classify
from kerafer.evaluation.selective import Selective, risk_coverage
from kerafer.evaluation.votes import VoteScores

# "Sure" predictions, of which reports tell how many are right.
SURE = 0.9
_FEW_GROUPS = 20


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of one model on one set of images.

    Args:
        classification: As from `classify`.
        bins: As from `reliability`.
        calibration_error: As from `expected_calibration_error`.
        mean_confidence: Mean probability of the predicted classes.
        sure: How many predictions have a probability of `SURE` or more, and
            how many of them are right.
        intervals: As from `bootstrap_intervals`.
        class_intervals: Intervals of `recall` and `precision` for each class;
            `None` where there is nothing to divide by.
        groups: How many people or images the intervals draw from.
        over: `"people"` or `"images"`.
        coverage: As from `risk_coverage`.
        votes: As from `score_votes`, if the labels are soft. Default: none.
        selective: As from `select`. Default: none.
    """

    classification: Classification
    bins: pd.DataFrame
    calibration_error: float
    mean_confidence: float
    sure: tuple[int, int]
    intervals: Mapping[str, Interval]
    class_intervals: Mapping[str, Mapping[str, Interval | None]]
    groups: int
    over: str
    coverage: pd.DataFrame
    votes: VoteScores | None = None
    selective: Selective | None = None

    def notes(self) -> list[str]:
        """Say what makes these scores and intervals doubtful."""
        notes = self.classification.notes()
        if self.votes is not None:
            notes.append(
                "The labels are votes of several people. The scores count the "
                "most frequent class as right, on all images (protocol all) "
                "and on those where more than half agree (protocol majority)."
            )
        if self.groups < _FEW_GROUPS:
            notes.append(
                f"Intervals from {self.groups} {self.over} are rough, and "
                "rather too narrow."
            )
        if self.classification.accuracy == 1:
            notes.append(
                "Resampling cannot show mistakes that were not seen. After "
                f"{self.groups} {self.over} without one, up to about "
                f"{min(3 / self.groups, 1):.1%} of them may still have one "
                "(the rule of three)."
            )
        return notes

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain numbers, as manifests and reports use them."""
        found = self.classification
        classes: dict[str, Any] = {}
        for name, row in found.per_class.iterrows():
            entry: dict[str, Any] = {
                "n_images": int(row.support),
                "f1": float(row.f1),
            }
            for score, ends in self.class_intervals[str(name)].items():
                entry[score] = ends and float(row[score])
                entry[f"{score}_interval"] = ends and list(ends)
            classes[str(name)] = entry
        right = ("at_least", "n_images", "right")
        return {
            "n_images": int(found.confusion.sum()),
            "intervals": {"over": self.over, "of": self.groups},
            "accuracy": found.accuracy,
            "accuracy_interval": list(self.intervals["accuracy"]),
            "macro_f1": float(found.macro["f1"]),
            "macro_f1_interval": list(self.intervals["macro_f1"]),
            "classes": classes,
            "confusion": found.confusion.tolist(),
            "calibration": {
                "bins": len(self.bins),
                "expected_calibration_error": self.calibration_error,
                "mean_confidence": self.mean_confidence,
                "sure": dict(zip(right, (SURE, *self.sure), strict=True)),
            },
            **self.answers(),
            "notes": self.notes(),
        }

    def answers(self) -> dict[str, Any]:
        """Scores against votes, and of answering only when sure."""
        return {
            **({"votes": self.votes.as_dict()} if self.votes else {}),
            "risk_coverage": self.coverage.to_dict("records"),
            "selective": self.selective and self.selective.as_dict(),
        }

    def interval_dict(self) -> dict[str, Any]:
        """The intervals of all images, and how they were drawn."""
        return {
            **{name: list(ends) for name, ends in self.intervals.items()},
            "over": self.over,
            "groups": self.groups,
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
        }


def score(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    subjects: np.ndarray | None = None,
    votes: VoteScores | None = None,
    selective: Selective | None = None,
) -> Scores:
    """Measure all `Scores`, with 95 % intervals.

    Accuracy and macro F1 have bootstrap intervals. Recall and precision of a
    class have Wilson's, or the bootstrap's over people where they are known,
    because images of one person resemble each other. If all images are right
    or none is, resampling shows nothing else; the interval is then Wilson's
    of as many trials as there are people.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`, as from
            `checked_probabilities`; two images or more.
        class_names: In the order of the columns.
        subjects: Who is on each image. Default: unknown.
        votes: As from `score_votes`. Default: none.
        selective: As from `select`. Default: none.

    Raises:
        UserError: For fewer than two images.
    """
    confidence = probabilities.max(axis=1)
    predicted = probabilities.argmax(axis=1)
    right, sure = predicted == labels, confidence >= SURE
    groups = drawn_groups(subjects)
    return Scores(
        classify(labels, probabilities, class_names),
        bins=reliability(labels, probabilities),
        calibration_error=expected_calibration_error(labels, probabilities),
        mean_confidence=float(confidence.mean()),
        sure=(int(sure.sum()), int((sure & right).sum())),
        intervals=bootstrap_intervals(
            labels, predicted, len(class_names), groups
        ),
        class_intervals={
            name: {
                "recall": _interval(right, labels == index, groups),
                "precision": _interval(right, predicted == index, groups),
            }
            for index, name in enumerate(class_names)
        },
        groups=len(labels) if groups is None else len(set(groups)),
        over="images" if groups is None else "people",
        coverage=risk_coverage(labels, probabilities),
        votes=votes,
        selective=selective,
    )


def drawn_groups(subjects: np.ndarray | None) -> np.ndarray | None:
    """The people that intervals draw, if at least two are known."""
    if subjects is None or len(set(subjects)) < 2:
        return None
    return subjects


def _interval(
    right: np.ndarray, among: np.ndarray, groups: np.ndarray | None
) -> Interval | None:
    """The interval of the share of `among` that is right (two masks)."""
    if not among.any():
        return None
    right, trials = right & among, int(among.sum())
    share = right.sum() / trials
    if groups is not None and 0 < share < 1:
        sums = resampled_sums(np.stack([right, among], axis=1), groups)
        sums = sums[sums[:, 1] > 0]
        return percentile_interval(sums[:, 0] / sums[:, 1])
    if groups is not None:
        trials = len(set(groups[among]))
    found = binomtest(round(share * trials), trials)
    return Interval(*map(float, found.proportion_ci(CONFIDENCE, "wilson")))
