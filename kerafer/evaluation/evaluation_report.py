"""The page about one evaluation that a person would forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kerafer import markdown
from kerafer.engine import backend_name
from kerafer.evaluation.bootstrap import RESAMPLES
from kerafer.evaluation.comparison import Comparison
from kerafer.evaluation.report import per_class_table
from kerafer.evaluation.score_section import calibration_sentences
from kerafer.evaluation.scores import Scores, as_percent
from kerafer.evaluation.votes import VoteScores
from kerafer.versions import versions

if TYPE_CHECKING:
    from kerafer.evaluation.evaluation import Evaluation


def evaluation_report(evaluation: Evaluation) -> str:
    """Write up one evaluation as Markdown.

    Args:
        evaluation: Its images are those that `Evaluation.write` draws.
    """
    scores, part = evaluation.scores, evaluation.part
    test = scores.classification
    count = int(test.confusion.sum())
    kind = "images" if part == "all" else f"{part} images"
    mistakes, shown = evaluation.mistake_count, len(evaluation.mistakes)
    lines = [
        f"# {evaluation.told_name} on {evaluation.dataset}",
        "",
        f"**{test.accuracy:.1%} of {count:,} {kind}** are recognised "
        f"(95 % interval {as_percent(scores.intervals['accuracy'])}).",
        "",
        *(f"* {note}" for note in evaluation.notes),
        "",
        *markdown.table(("score", "", "95 % interval"), scores.rows()),
        "",
        *_what_intervals_mean(scores),
        "",
        *_comparison(evaluation),
        *per_class_table(test),
        "",
        "Precision: of the images taken for the class, the part that are of "
        "it. Recall: of the images of the class, the part that are found.",
        "",
        "![Confusion matrix](confusion.png)",
        "",
        _calibration(scores),
        "",
        "![How often it is right against how sure it is](reliability.png)",
        "",
        *_votes(scores.votes),
        *_mistakes(mistakes, shown),
        *markdown.facts(_facts(evaluation)),
        "",
        *_how_again(evaluation.command),
    ]
    return "\n".join(lines)


def _facts(evaluation: Evaluation) -> dict[str, str]:
    machine, backend = versions(), backend_name()
    size, _, channels = evaluation.input_shape
    return {
        "model": f"`{evaluation.model_file or evaluation.model}`",
        "images": f"{len(evaluation.predictions.labels):,}, {size} x {size}, "
        f"{'colour' if channels == 3 else 'gray'}",
        "split": f"{evaluation.split}, part {evaluation.part}, digest "
        f"{evaluation.predictions.digest[:12]}",
        "data": evaluation.source,
        "terms of the data": evaluation.licence,
        "versions": f"kerafer {machine['kerafer']}, {backend} "
        f"{machine.get(backend, '')}, scikit-learn "
        f"{machine['scikit-learn']}",
    }


def _how_again(command: str | None) -> list[str]:
    if command is None:
        return []
    return ["Reproduce with:", "", f"    {command}", ""]


def _comparison(evaluation: Evaluation) -> list[str]:
    if evaluation.comparison is None:
        return []
    scores = evaluation.scores
    count = len(evaluation.predictions.labels)
    section = comparison_section(
        *evaluation.names,
        evaluation.comparison,
        scores.over,
        scores.over == "people" and scores.groups < count,
    )
    return [section, ""]


def _votes(votes: VoteScores | None) -> list[str]:
    if votes is None:
        return []
    return [
        "How far its answers are from what people said, in bits "
        "(Jensen-Shannon; 0 is the same, 1 nothing in common): "
        f"{votes.divergence:.3f} on average. Logits were divided by "
        f"{votes.temperature:.2f}, which makes votes of probabilities.",
        "",
        *markdown.table(
            ("class", "Jensen-Shannon divergence"),
            [
                (name, f"{value:.3f}")
                for name, value in votes.per_class.items()
                if value is not None
            ],
        ),
        "",
    ]


def comparison_section(
    first: str, second: str, comparison: Comparison, over: str, repeated: bool
) -> str:
    """Two models on the same images, as Markdown.

    Args:
        first: The model's name.
        second: The name of the one it is compared with.
        comparison: What came out.
        over: What the interval draws, `"people"` or `"images"`.
        repeated: Whether somebody is on several images.
    """
    lines = [
        f"## {first} against {second}",
        "",
        f"**{verdict(first, second, comparison, over)}**",
        "",
        *markdown.table(
            ("images", f"{second} right", f"{second} wrong"),
            [
                (
                    f"**{first} right**",
                    f"{comparison.both_right:,}",
                    f"{comparison.only_first:,}",
                ),
                (
                    f"**{first} wrong**",
                    f"{comparison.only_second:,}",
                    f"{comparison.both_wrong:,}",
                ),
            ],
        ),
        "",
        f"The difference in accuracy ({first} less {second}) is "
        f"{points(comparison.difference)} percentage points, 95 % interval "
        f"{points(comparison.interval.low)} to "
        f"{points(comparison.interval.high)} (the same {over} drawn for both). "
        "McNemar's exact test on the "
        f"{comparison.only_first + comparison.only_second:,} images that "
        f"only one of them recognises: p = {comparison.p_value:.2g}.",
    ]
    if repeated and comparison.only_first + comparison.only_second:
        lines[-1] += (
            " The test takes images of one person for independent of each "
            "other, which can make its p too small; the interval does not."
        )
    return "\n".join(lines)


def verdict(first: str, second: str, comparison: Comparison, over: str) -> str:
    """One sentence: is the difference more than chance?"""
    if comparison.is_significant:
        better = first if comparison.difference > 0 else second
        return f"{better} is better, by more than chance explains."
    if comparison.only_first == comparison.only_second:
        return "Neither recognises more of these images than the other."
    better = first if comparison.difference > 0 else second
    start = f"{better} recognises more of these images, but"
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
    """What a page of most confident errors shows, as a sentence's start.

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
    others = "other people" if scores.over == "people" else "other images"
    why = (
        " All images of a person are drawn together, since they resemble "
        "each other."
        if scores.over == "people"
        else ""
    )
    return [
        f"The intervals say how far chance in the choice of {scores.over} "
        f"reaches: {scores.groups:,} of them were drawn with repetition from "
        f"these {scores.groups:,}, {RESAMPLES:,} times, and the middle 95 % of "
        f"the scores kept.{why} On {others} of the same kind a score in the "
        "interval is no surprise. They say nothing of images of another "
        "kind, nor of training the model once more.",
    ]


def _calibration(scores: Scores) -> str:
    there = scores.bins[scores.bins["n_images"] > 0]
    weights = there["n_images"]
    return calibration_sentences(
        float(np.average(there["confidence"], weights=weights)),
        scores.classification.accuracy,
        scores.calibration_error,
        len(scores.bins),
    )


def _mistakes(mistakes: int, shown: int) -> list[str]:
    if not mistakes:
        return ["It made no mistake on these images.", ""]
    return [
        f"{which_mistakes(mistakes, shown)}:",
        "",
        "![The most confident errors](mistakes.png)",
        "",
    ]
