"""The page that a person would forward."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kerafer import markdown
from kerafer.evaluation.classification import Classification


def report(
    title: str,
    facts: Mapping[str, str],
    test: Classification,
    history: pd.DataFrame,
    notes: tuple[str, ...],
    command: str,
) -> str:
    """Write up one training as Markdown.

    Args:
        title: What was trained on what.
        facts: Name and value of what should be known, a line each.
        test: The scores of the best epoch on the test images.
        history: One row an epoch.
        notes: Sentences about the data's division.
        command: What reproduces the training.
    """
    best = int(history["val_loss"].argmin())
    lines = [
        f"# {title}",
        "",
        f"**{test.accuracy:.1%} of {int(test.confusion.sum())} test images** "
        f"are recognised (macro F1 {test.macro['f1']:.3f}). The weights are "
        f"those of epoch {best + 1} of {len(history)}, which had the lowest "
        f"validation loss, {history['val_loss'][best]:.4f}.",
        "",
        *(f"* {note}" for note in (*test.notes(), *notes)),
        "",
        *per_class_table(test, mean=True),
        "",
        "![Confusion matrix](confusion.png)",
        "",
        "![Loss and accuracy over the epochs](curves.png)",
        "",
        *markdown.facts(facts),
        "",
        "Reproduce with:",
        "",
        f"    {command}",
        "",
    ]
    return "\n".join(lines)


def per_class_table(test: Classification, mean: bool = False) -> list[str]:
    """Precision, recall and F1 of each class, as lines of Markdown.

    Args:
        test: The scores.
        mean: Whether a last row has the means over the classes. Defaults to
            `False`.
    """
    scores = ("precision", "recall", "f1")
    rows = [
        [
            name,
            *(f"{row[score]:.3f}" for score in scores),
            f"{row.support:,.0f}",
        ]
        for name, row in test.per_class.iterrows()
    ]
    if mean:
        means = [f"{test.macro[score]:.3f}" for score in scores]
        count = f"{test.confusion.sum():,.0f}"
        rows.append(["**mean of classes**", *means, count])
    head = ("class", "precision", "recall", "F1", "images")
    return markdown.table(head, rows)
