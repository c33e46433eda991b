"""The page about one evaluation that a person would forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from kerafer.evaluation.bootstrap import RESAMPLES, Interval
from kerafer.evaluation.classification import Classification
from kerafer.evaluation.comparison import Comparison
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
        groups: How many people or pictures the intervals drew from.
        over: `"people"` or `"pictures"`.
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
            who = f"protocol majority, {votes.agreed:,} of {votes.images:,}"
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


def as_percent(interval: Interval) -> str:
    """An interval of parts of one, as text."""
    return f"{100 * interval.low:.1f} to {interval.high:.1%}"


def evaluation_report(
    title: str,
    part: str,
    facts: Mapping[str, str],
    scores: Scores,
    mistakes: int,
    shown_mistakes: int,
    notes: tuple[str, ...],
    comparison: str | None,
    command: str,
) -> str:
    """Write up one evaluation as Markdown.

    Args:
        title: Which model on which pictures.
        part: Of the split, or `"all"`.
        facts: Name and value of what should be known, a line each.
        scores: Of the model.
        mistakes: How many pictures are not recognised.
        shown_mistakes: How many of them `mistakes.png` has; 0 where there is
            no such file.
        notes: Sentences about the data's division and the intervals.
        comparison: The section of `comparison_section`, or `None`.
        command: What reproduces the evaluation.
    """
    test = scores.classification
    count = int(test.confusion.sum())
    kind = "pictures" if part == "all" else f"{part} pictures"
    lines = [
        f"# {title}",
        "",
        f"**{test.accuracy:.1%} of {count:,} {kind}** are recognised "
        f"(95 % interval {as_percent(scores.intervals['accuracy'])}).",
        "",
        *(f"* {note}" for note in notes),
        "",
        "| score | | 95 % interval |",
        "|---|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in scores.rows()),
        "",
        *_what_intervals_mean(scores),
        "",
        *([comparison, ""] if comparison else []),
        "| class | precision | recall | F1 | pictures |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {row.precision:.3f} | {row.recall:.3f} "
            f"| {row.f1:.3f} | {int(row.support):,} |"
            for name, row in test.per_class.iterrows()
        ),
        "",
        "Precision: of the pictures taken for the class, the part that are of "
        "it. Recall: of the pictures of the class, the part that are found.",
        "",
        "![Which class is taken for which](confusion.png)",
        "",
        _calibration(scores),
        "",
        "![How often it is right against how sure it is](reliability.png)",
        "",
        *_votes(scores.votes),
        *_mistakes(mistakes, shown_mistakes),
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        "Reproduce with:",
        "",
        f"    {command}",
        "",
    ]
    return "\n".join(lines)


def _votes(votes: VoteScores | None) -> list[str]:
    if votes is None:
        return []
    return [
        "How far its answers are from what people said, in bits "
        "(Jensen-Shannon; 0 is the same, 1 nothing in common): "
        f"{votes.divergence:.3f} on average. Logits were divided by "
        f"{votes.temperature:.2f}, which makes votes of probabilities.",
        "",
        "| class | Jensen-Shannon divergence |",
        "|---|---:|",
        *(
            f"| {name} | {value:.3f} |"
            for name, value in votes.per_class.items()
            if value is not None
        ),
        "",
    ]


def comparison_section(
    first: str, second: str, comparison: Comparison, over: str, repeated: bool
) -> str:
    """Two models on the same pictures, as Markdown.

    Args:
        first: The model's name.
        second: The name of the one it is compared with.
        comparison: What came out.
        over: What the interval draws, `"people"` or `"pictures"`.
        repeated: Whether somebody is on several pictures.
    """
    lines = [
        f"## {first} against {second}",
        "",
        f"**{verdict(first, second, comparison, over)}**",
        "",
        f"| pictures | {second} right | {second} wrong |",
        "|---|---:|---:|",
        f"| **{first} right** | {comparison.both_right:,} "
        f"| {comparison.only_first:,} |",
        f"| **{first} wrong** | {comparison.only_second:,} "
        f"| {comparison.both_wrong:,} |",
        "",
        f"The difference in accuracy ({first} less {second}) is "
        f"{points(comparison.difference)} percentage points, 95 % interval "
        f"{points(comparison.interval.low)} to "
        f"{points(comparison.interval.high)} (the same {over} drawn for both). "
        "McNemar's exact test on the "
        f"{comparison.only_first + comparison.only_second:,} pictures that "
        f"only one of them recognises: p = {comparison.p_value:.2g}.",
    ]
    if repeated and comparison.only_first + comparison.only_second:
        lines[-1] += (
            " The test takes pictures of one person for independent of each "
            "other, which can make its p too small; the interval does not."
        )
    return "\n".join(lines)


def verdict(first: str, second: str, comparison: Comparison, over: str) -> str:
    """One sentence: is the difference more than chance?"""
    if comparison.is_significant:
        better = first if comparison.difference > 0 else second
        return f"{better} is better, by more than chance explains."
    if comparison.only_first == comparison.only_second:
        return "Neither recognises more of these pictures than the other."
    better = first if comparison.difference > 0 else second
    start = f"{better} recognises more of these pictures, but"
    if comparison.p_value < 0.05:
        return (
            f"{start} it may be chance: with other {over} it could be the "
            "other way round."
        )
    return f"{start} the difference may be chance."


def points(difference: float) -> str:
    """A difference of parts of one in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def which_mistakes(mistakes: int, shown: int) -> str:
    """What a page of the surest mistakes shows, as the start of a sentence.

    Args:
        mistakes: How many there are, at least one.
        shown: How many of them are on the page.
    """
    if mistakes == 1:
        return "The one mistake"
    if shown == mistakes:
        return f"All {mistakes} mistakes"
    return f"The {shown} surest of {mistakes:,} mistakes"


def _what_intervals_mean(scores: Scores) -> list[str]:
    others = "other people" if scores.over == "people" else "other pictures"
    why = (
        " All pictures of a person are drawn together, since they resemble "
        "each other."
        if scores.over == "people"
        else ""
    )
    return [
        f"The intervals say how far chance in the choice of {scores.over} "
        f"reaches: {scores.groups:,} of them were drawn with repetition from "
        f"these {scores.groups:,}, {RESAMPLES:,} times, and the middle 95 % of "
        f"the scores kept.{why} On {others} of the same kind a score in the "
        "interval is no surprise. They say nothing of pictures of another "
        "kind, nor of training the model once more.",
    ]


def _calibration(scores: Scores) -> str:
    there = scores.bins[scores.bins["pictures"] > 0]
    weights = there["pictures"]
    confidence = float(np.average(there["confidence"], weights=weights))
    accuracy = scores.classification.accuracy
    side = "surer than it should be" if confidence > accuracy else "too modest"
    if abs(confidence - accuracy) < 0.01:
        side = "about as sure as it should be on the whole"
    return (
        f"It gives the class that it names {confidence:.1%} on average and is "
        f"right on {accuracy:.1%}: {side}. In 15 steps of probability the two "
        f"are {scores.calibration_error:.1%} apart on average (the expected "
        "calibration error)."
    )


def _mistakes(mistakes: int, shown: int) -> list[str]:
    if not mistakes:
        return ["It made no mistake on these pictures.", ""]
    return [
        f"{which_mistakes(mistakes, shown)}:",
        "",
        "![The surest mistakes](mistakes.png)",
        "",
    ]
