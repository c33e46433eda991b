"""The scores section that reports and model cards share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerafer import markdown
from kerafer.evaluation.panel import describe_panel
from kerafer.evaluation.selective import Selective

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
    totals = confusion.sum(axis=1)
    wrong = confusion * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    panel = (scores.get("votes") or {}).get("panel")
    selective = scores.get("selective")
    return markdown.render(
        "evaluation/templates/scores.md.j2",
        scores=scores,
        more=list(more),
        names=names,
        panel_sentence=panel and describe_panel(panel),
        selective_sentence=selective and Selective(**selective).describe(),
        n_wrong=int(wrong.sum()),
        confusions=[
            (names[true], names[taken], wrong[true, taken], totals[true])
            for true, taken in zip(*np.divmod(order, len(names)), strict=True)
            if wrong[true, taken]
        ],
        never=[
            name
            for name, count in zip(names, confusion.sum(axis=0), strict=True)
            if not count
        ],
    )
