"""Tables as Markdown."""

from __future__ import annotations

import pandas as pd


def markdown_table(table: pd.DataFrame) -> str:
    """A table of text and numbers as Markdown.

    Args:
        table: Its columns are the head; the first is set left, others right.
    """
    head = "| " + " | ".join(map(str, table.columns)) + " |"
    rule = "|---|" + "---:|" * (len(table.columns) - 1)
    rows = [
        "| " + " | ".join(str(value) for value in row) + " |"
        for row in table.itertuples(index=False)
    ]
    return "\n".join([head, rule, *rows]) + "\n"
