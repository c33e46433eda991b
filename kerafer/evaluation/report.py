"""The scores section that reports and model cards share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerafer import markdown

_MOST_CONFUSIONS = 5


def scores_section(
    scores: dict[str, Any], more: Sequence[tuple[str, str, str]] = ()
) -> str:
    """Write up scores as Markdown.

    Args:
        scores: As from `Scores.as_dict`.
        more: Name, value and interval of further scores.
    """
    names, confusion = list(scores["classes"]), np.array(scores["confusion"])
    totals, wrong = confusion.sum(axis=1), confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    places = [divmod(int(place), len(names)) for place in order]
    return markdown.render(
        "evaluation/templates/scores.md.j2",
        scores=scores,
        calibration=scores["calibration"],
        calibrated=_calibrated(scores),
        names=names,
        rows=[
            (
                "accuracy",
                markdown.percent(scores["accuracy"]),
                markdown.percent_range(scores["accuracy_interval"]),
            ),
            (
                "macro F1",
                f"{scores['macro_f1']:.3f}",
                markdown.decimal_range(scores["macro_f1_interval"]),
            ),
            *more,
        ],
        class_rows=[_class_row(*item) for item in scores["classes"].items()],
        confusion_rows=[
            (f"**{name}**", *(f"{count:,}" for count in row))
            for name, row in zip(names, confusion, strict=True)
        ],
        n_wrong=int(wrong.sum()),
        confusions=[
            (names[true], names[taken], int(wrong[true, taken]), totals[true])
            for true, taken in places
            if wrong[true, taken]
        ],
        never=[
            name
            for name, count in zip(names, confusion.sum(axis=0), strict=True)
            if not count
        ],
    )


def _class_row(name: str, row: dict[str, Any]) -> list[str]:
    cells = [name, f"{row['n_images']:,}"]
    for score in ("recall", "precision"):
        interval = row[f"{score}_interval"]
        cells += (
            ["", ""]
            if interval is None
            else [
                markdown.percent(row[score]),
                markdown.percent_range(interval),
            ]
        )
    return [*cells, f"{row['f1']:.3f}"]


def _calibrated(scores: dict[str, Any]) -> str:
    difference = scores["calibration"]["mean_confidence"] - scores["accuracy"]
    if abs(difference) < 0.01:
        return "well calibrated on average"
    return "overconfident" if difference > 0 else "underconfident"
