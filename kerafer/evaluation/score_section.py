"""Scores of a manifest as Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerafer import markdown
from kerafer.evaluation.scores import as_percent

_MOST_CONFUSIONS = 5


def score_section(scores: dict[str, Any]) -> list[str]:
    """Write up what `measure_scores` found, as lines of Markdown.

    Args:
        scores: As `manifest.json` has them.
    """
    drawn = scores["intervals"]
    return [
        *markdown.table(
            ("", "", "95 % interval"),
            [
                (
                    "accuracy",
                    f"{scores['accuracy']:.1%}",
                    as_percent(scores["accuracy_interval"]),
                ),
                (
                    "macro F1",
                    f"{scores['macro_f1']:.3f}",
                    "{:.3f} to {:.3f}".format(*scores["macro_f1_interval"]),
                ),
            ],
        ),
        "",
        *markdown.table(
            (
                *("class", "images", "recall", "95 % interval"),
                *("precision", "95 % interval", "F1"),
            ),
            [_row(name, row) for name, row in scores["classes"].items()],
        ),
        "",
        "Recall: of the images of the class, the part that are found. "
        "Precision: of the images taken for the class, the part that are of "
        f"it. {_method(drawn['over'], drawn['of'])}",
        "",
        *(f"* {note}" for note in scores["notes"]),
        *([""] if scores["notes"] else []),
        *_confusion(scores),
        _calibration(scores),
        "",
    ]


def _row(name: str, row: dict[str, Any]) -> list[str]:
    cells = [name, f"{row['n_images']:,}"]
    for score in ("recall", "precision"):
        interval = row[f"{score}_interval"]
        cells.append("" if interval is None else f"{row[score]:.1%}")
        cells.append("" if interval is None else as_percent(interval))
    return [*cells, f"{row['f1']:.3f}"]


def _method(over: str, count: int) -> str:
    if over == "people":
        return (
            f"Intervals are the bootstrap's over {count:,} people, all "
            "images of one drawn together, and Wilson's over people for 0% "
            "and 100%."
        )
    return (
        f"Intervals are the bootstrap's over {count:,} images, and Wilson's "
        "for a class."
    )


def _confusion(scores: dict[str, Any]) -> list[str]:
    names, counts = list(scores["classes"]), scores["confusion"]
    return [
        "Confusion matrix, in images, each row a true class:",
        "",
        *markdown.table(
            ("", *names),
            [
                (f"**{name}**", *(f"{n:,}" for n in row))
                for name, row in zip(names, counts, strict=True)
            ],
        ),
        "",
        *_most_frequent(names, np.array(counts)),
    ]


def _most_frequent(names: list[str], counts: np.ndarray) -> list[str]:
    totals = counts.sum(axis=1)
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    places = [divmod(int(place), len(names)) for place in order]
    lines = [
        f"* {names[true]} taken for {names[taken]}: {wrong[true, taken]:,} of "
        f"{totals[true]:,} images "
        f"({wrong[true, taken] / totals[true]:.0%})"
        for true, taken in places
        if wrong[true, taken]
    ]
    if not lines:
        return ["It made no mistake on these images.", ""]
    never = [
        name for name, n in zip(names, counts.sum(0), strict=True) if not n
    ]
    return [
        f"It is wrong on {wrong.sum():,} of {totals.sum():,} images. Its "
        "most frequent mistakes:",
        "",
        *lines,
        *([f"* never the answer: {', '.join(never)}"] if never else []),
        "",
    ]


def _calibration(scores: dict[str, Any]) -> str:
    found = scores["calibration"]
    sure = found["sure"]
    text = calibration_sentences(
        found["mean_confidence"],
        scores["accuracy"],
        found["expected_calibration_error"],
        found["bins"],
    )
    if not sure["n_images"]:
        return f"{text} It was never {sure['at_least']:.0%} sure."
    return (
        f"{text} Of the {sure['n_images']:,} answers that it gave "
        f"{sure['at_least']:.0%} or more, "
        f"{sure['right'] / sure['n_images']:.1%} were right."
    )


def calibration_sentences(
    confidence: float, accuracy: float, error: float, bins: int
) -> str:
    """Whether a model is as sure as it is right, in words.

    Args:
        confidence: Mean of the probabilities of what it says.
        accuracy: How often it is right.
        error: The expected calibration error.
        bins: Of probability, that the error was measured in.
    """
    side = "surer than it should be" if confidence > accuracy else "too modest"
    if abs(confidence - accuracy) < 0.01:
        side = "about as sure as it should be on the whole"
    return (
        f"It gives the class that it names {confidence:.1%} on average and is "
        f"right on {accuracy:.1%}: {side}. In {bins} steps of probability the "
        f"two are {error:.1%} apart on average (the expected calibration "
        "error)."
    )
