"""The page that a person would forward."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

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
        test: The scores of the best epoch on the test pictures.
        history: One row an epoch.
        notes: Sentences about the data's division.
        command: What reproduces the training.
    """
    best = int(history["val_loss"].argmin())
    lines = [
        f"# {title}",
        "",
        f"**{test.accuracy:.1%} of {int(test.confusion.sum())} test pictures** "
        f"are recognised (macro F1 {test.macro['f1']:.3f}). The weights are "
        f"those of epoch {best + 1} of {len(history)}, which had the lowest "
        f"validation loss, {history['val_loss'][best]:.4f}.",
        "",
        *(f"* {note}" for note in (*test.notes(), *notes)),
        "",
        "| class | precision | recall | F1 | pictures |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {row.precision:.3f} | {row.recall:.3f} "
            f"| {row.f1:.3f} | {int(row.support)} |"
            for name, row in test.per_class.iterrows()
        ),
        f"| **mean of classes** | {test.macro['precision']:.3f} "
        f"| {test.macro['recall']:.3f} | {test.macro['f1']:.3f} "
        f"| {int(test.confusion.sum())} |",
        "",
        "![Which class is taken for which](confusion.png)",
        "",
        "![Loss and accuracy over the epochs](curves.png)",
        "",
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
