"""All scores of one model on some images, with their intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kerafer.evaluation.bootstrap import Interval, bootstrap_intervals
from kerafer.evaluation.calibration import (
    expected_calibration_error,
    reliability,
)
from kerafer.evaluation.classification import Classification, classify
from kerafer.evaluation.predictions import Predictions
from kerafer.evaluation.votes import VoteScores

_FEW_GROUPS = 20


@dataclasses.dataclass(frozen=True)
class Scores:
    """All that was measured of one model.

    Args:
        classification: The scores of `classify`.
        calibration_error: That of `expected_calibration_error`.
        bins: Those of `reliability`.
        intervals: Those of `bootstrap_intervals`.
        groups: How many people or images the intervals drew from.
        over: `"people"` or `"images"`.
        votes: What `score_votes` measured, where labels are shares of several
            people. Defaults to none.
    """

    classification: Classification
    calibration_error: float
    bins: pd.DataFrame
    intervals: Mapping[str, Interval]
    groups: int
    over: str
    votes: VoteScores | None = None

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, value and interval of every score, as text."""
        scores, intervals = self.classification, self.intervals
        macro = scores.macro
        return [
            (
                "accuracy",
                f"{scores.accuracy:.1%}",
                as_percent(intervals["accuracy"]),
            ),
            (
                "balanced accuracy",
                f"{scores.balanced_accuracy:.1%}",
                as_percent(intervals["balanced_accuracy"]),
            ),
            (
                "macro F1",
                f"{macro['f1']:.3f}",
                "{:.3f} to {:.3f}".format(*intervals["macro_f1"]),
            ),
            ("macro precision", f"{macro['precision']:.3f}", ""),
            ("macro recall", f"{macro['recall']:.3f}", ""),
            ("top-2 accuracy", f"{scores.top_2:.1%}", ""),
            ("log loss", f"{scores.log_loss:.4f}", ""),
            (
                "expected calibration error",
                f"{self.calibration_error:.1%}",
                "",
            ),
            *self._vote_rows(),
        ]

    def _vote_rows(self) -> list[tuple[str, str, str]]:
        votes = self.votes
        if votes is None:
            return []
        rows = [
            (
                "Jensen-Shannon divergence to votes",
                f"{votes.divergence:.3f}",
                "",
            )
        ]
        if votes.agreed:
            who = f"protocol majority, {votes.agreed:,} of {votes.n_images:,}"
            rows += [
                ("accuracy where most agree", f"{votes.accuracy:.1%}", who),
                ("macro F1 where most agree", f"{votes.macro_f1:.3f}", who),
            ]
        return rows

    def notes(self) -> list[str]:
        """What makes these intervals doubtful, a sentence each."""
        notes = self.classification.notes()
        if self.votes is not None:
            notes.append(
                "The labels are votes of several people: what is scored is "
                "the most frequent class, on all images (protocol all), and "
                "beside it on those on which more than half agree (protocol "
                "majority)."
            )
        if self.groups < _FEW_GROUPS:
            notes.append(
                f"Intervals from {self.groups} {self.over} are rough, and "
                "rather too narrow."
            )
        if self.classification.accuracy == 1:
            notes.append(
                "Drawing again can't show mistakes that were not seen. "
                f"After {self.groups} {self.over} without one, about "
                f"{min(3 / self.groups, 1):.1%} of them may still meet one "
                "(the rule of three)."
            )
        return notes


def as_percent(interval: Sequence[float]) -> str:
    """An interval of parts of one, its two ends, as text."""
    low, high = interval
    return f"{100 * low:.1f} to {high:.1%}"


def score(predictions: Predictions, votes: VoteScores | None = None) -> Scores:
    """Measure all of `Scores` of a model's predictions.

    Args:
        predictions: On at least two images.
        votes: What `score_votes` measured of them. Defaults to none.
    """
    return score_classes(
        predictions.labels,
        predictions.probabilities,
        predictions.class_names,
        drawn_groups(predictions.subjects),
        votes,
    )


def score_classes(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    groups: np.ndarray | None = None,
    votes: VoteScores | None = None,
) -> Scores:
    """`score` of arrays.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        probabilities: Of shape `(images, classes)`.
        class_names: In the order of the columns.
        groups: The people that intervals draw. Defaults to images.
        votes: As in `score`.
    """
    predicted = probabilities.argmax(axis=1)
    return Scores(
        classify(labels, probabilities, class_names),
        expected_calibration_error(labels, probabilities),
        bins=reliability(labels, probabilities),
        intervals=bootstrap_intervals(
            labels, predicted, len(class_names), groups
        ),
        groups=len(labels) if groups is None else len(set(groups)),
        over="images" if groups is None else "people",
        votes=votes,
    )


def drawn_groups(subjects: np.ndarray | None) -> np.ndarray | None:
    """The people that intervals draw, where at least two are known."""
    if subjects is None or len(set(subjects)) < 2:
        return None
    return subjects
