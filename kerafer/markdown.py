"""Markdown pages from templates, and tables for them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Fill a Jinja2 template of this package.

    Args:
        template: Its file, relative to the package, such as
            `"evaluation/templates/scores.md.j2"`.
        **values: Its variables.
    """
    return _environment().get_template(template).render(values)


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], side: str = "---:"
) -> list[str]:
    """Write a table, escaping its cells.

    Args:
        head: Over each column. The first column is aligned left.
        rows: A cell for each column.
        side: Alignment of the other columns: `"---"` for text. Default:
            right, for numbers.

    Returns:
        Its lines.
    """
    rule = ["---", *[side] * (len(head) - 1)]
    return [
        f"| {' | '.join(map(_cell, head))} |",
        f"|{'|'.join(rule)}|",
        *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
    ]


def facts(named: Mapping[str, object]) -> list[str]:
    """Write a table of names and values."""
    return table(("", ""), named.items(), side="---")


def percent(value: float) -> str:
    """A fraction as a percentage."""
    return f"{value:.1%}"


def percent_range(interval: Sequence[float]) -> str:
    """An interval of fractions as percentages."""
    low, high = interval
    return f"{100 * low:.1f} to {high:.1%}"


def decimal_range(interval: Sequence[float]) -> str:
    """An interval with three decimals."""
    low, high = interval
    return f"{low:.3f} to {high:.3f}"


@functools.cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["table"] = lambda *words: "\n".join(table(*words))
    environment.globals["facts"] = lambda named: "\n".join(facts(named))
    environment.filters["cell"] = _cell
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["decimal"] = lambda part: f"{100 * part:.1f}"
    environment.filters["two"] = lambda number: f"{number:.2f}"
    environment.filters["percent"] = percent
    environment.filters["percent_range"] = percent_range
    environment.filters["decimal_range"] = decimal_range
    return environment


def _cell(value: object) -> str:
    # A class may be named a|b.
    return " ".join(str(value).split()).replace("|", "\\|")
