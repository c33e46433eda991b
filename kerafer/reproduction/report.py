"""The page that a reproduction ends in."""

from __future__ import annotations

import dataclasses

import pandas as pd

from kerafer import markdown


@dataclasses.dataclass(frozen=True)
class Section:
    """A table or a figure of the page.

    Args:
        title: Its heading.
        table: A table, or `None`.
        figure: Name of an image beside the page, or `None`.
        text: Sentences below.
    """

    title: str
    table: pd.DataFrame | None = None
    figure: str | None = None
    text: str = ""


READING = (
    "Scores are means over runs, ± their standard deviation (n - 1); "
    "precision, recall and F1 are averages over the classes. A run is one "
    "seed: another split, other first weights, another order. `difference` is "
    "from the first model of the table, in points of accuracy, taken seed by "
    "seed, with a 95 % interval by Student's t: where it reaches over 0, the "
    "seeds alone could have made it. The article's numbers come from its own "
    "data; `stated` ones stand in its text, `derived` ones follow from those."
)


def reproduction_report(
    title: str, facts: dict[str, str], sections: list[Section], command: str
) -> str:
    """Write up a reproduction as Markdown.

    Args:
        title: What was reproduced on what.
        facts: Name and value of what should be known, a line each.
        sections: Tables and figures in their order.
        command: What makes all of it again.
    """
    lines = [f"# {title}", ""]
    if any(section.table is not None for section in sections) and facts:
        lines += [READING, ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        if section.table is not None:
            rows = section.table.itertuples(index=False)
            lines += [*markdown.table(section.table.columns, rows), ""]
        if section.figure:
            lines += [f"![{section.title}]({section.figure})", ""]
        if section.text:
            lines += [section.text, ""]
    if facts:
        lines += [*markdown.facts(facts), ""]
    lines += ["Made by:", "", f"    {command}", ""]
    return "\n".join(lines)
