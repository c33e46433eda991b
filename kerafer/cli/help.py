"""Plain help pages: options in one column, their help in another."""

from __future__ import annotations

import textwrap
from typing import Any

from cyclopts.help import HelpEntry, HelpPanel, PlainFormatter
from rich.console import Console

_INDENT = " " * 26
_OF_TYPES = {"INT": "N", "FLOAT": "X", "STR": "NAME", "BOOL": ""}
_METAVARS = {
    "--coordinator": "HOST:PORT",
    "--figures": "N,N",
    "--input-range": "RANGE",
    "--subject-pattern": "REGEX",
    "--tables": "N,N",
    **dict.fromkeys(
        (
            *("--against", "--clean", "--config", "--data-dir"),
            *("--detector-file", "--external-test", "--images", "--init-from"),
            *("--model", "--out", "--resume", "--write"),
        ),
        "PATH",
    ),
}


class HelpFormatter(PlainFormatter):
    """Formats the groups of options of `--help`."""

    def __call__(
        self, console: Console, options: Any, panel: HelpPanel
    ) -> None:
        """Print one group of options or commands."""
        lines = [f"{panel.title}:"]
        for entry in panel.entries:
            text = getattr(entry.description, "primary_renderable", "")
            words = f"{text} Required." if entry.required else str(text)
            if entry.default not in (None, "False"):
                words += f" Default: {entry.default}."
            label = f"  {_label(entry)} ".ljust(len(_INDENT))
            if len(label) > len(_INDENT):
                lines.append(label.rstrip())
                label = _INDENT
            lines += textwrap.wrap(
                words,
                80,
                initial_indent=label,
                subsequent_indent=_INDENT,
                break_on_hyphens=False,
            ) or [label]
        if panel.entries:
            console.print(*lines, "", sep="\n", highlight=False, markup=False)

    def render_usage(self, console: Console, options: Any, usage: Any) -> None:
        """Print the synopsis."""
        text = str(usage).replace(" STR", " PATH")
        super().render_usage(console, options, text)


def _label(entry: HelpEntry) -> str:
    if entry.positional_label:
        return f"{entry.positional_label}..."
    names = [*entry.positive_names, *entry.positive_shorts]
    if entry.choices:
        return f"{names[0]} {'|'.join(entry.choices)}"
    metavar = _METAVARS.get(names[0]) or entry.metavar or ""
    return f"{', '.join(names)} {_OF_TYPES.get(metavar, metavar)}".rstrip()
