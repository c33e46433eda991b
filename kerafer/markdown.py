"""Tables for pages in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], side: str = "---:"
) -> list[str]:
    """Lines of a table, whatever is in its cells.

    Args:
        head: Over each column. The first column is set left.
        rows: A cell for each column.
        side: The rule of the others, `"---"` for text. Defaults to numbers,
            set right.
    """
    rule = ["---", *[side] * (len(head) - 1)]
    return [
        f"| {' | '.join(map(_cell, head))} |",
        f"|{'|'.join(rule)}|",
        *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
    ]


def facts(named: Mapping[str, object]) -> list[str]:
    """Lines of a table of names and what is known of each."""
    return table(("", ""), named.items(), side="---")


def _cell(value: object) -> str:
    # A class may be named a|b.
    return " ".join(str(value).split()).replace("|", "\\|")
