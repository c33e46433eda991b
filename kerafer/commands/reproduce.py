"""`kerafer reproduce`: tables and figures of the article."""

from __future__ import annotations

import argparse

from rich.table import Table

from kerafer.console import console
from kerafer.errors import UserError
from kerafer.figures import add_figure_format, figures_as
from kerafer.reproduction.reproduce import reproduce
from kerafer.settings import add_flags, from_flags
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe

# What a reproduction varies itself.
_OWN = ("arch", "options")
# The largest number of a table or figure.
_MOST = 99
# Columns of the report that do not fit on 80 characters.
_WIDE = ["", "test images", "precision %", "recall %"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--tables",
        metavar="N,N",
        help="of the article's tables 2 to 8 (default: all of the data set)",
    )
    parser.add_argument(
        "--figures",
        metavar="N,N",
        help="of the article's figures 1 to 19; 10..19 is a range (default: "
        "10 to 19 of the data set)",
    )
    parser.add_argument(
        "--questions",
        metavar="NAMES",
        help="ablations that the article leaves open, such as stem,split, or "
        "all (default: none); a wrong word names them",
    )
    parser.add_argument(
        "--models",
        metavar="NAMES",
        help="leave out the other models (default: all)",
    )
    parser.add_argument(
        "--runs", metavar="N", type=int, default=5, help="of each (default: 5)"
    )
    parser.add_argument(
        "--executor",
        choices=("here", "ray"),
        default="here",
        help="where trainings run (default: here, one after the other)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of report and runs (default: reproduction/<dataset>)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the report of another command; runs stay",
    )
    add_figure_format(parser)
    add_flags(parser, TrainingConfig, without=_OWN)


def run(parsed: argparse.Namespace) -> int:
    """Train what is missing, write the report and show its tables."""
    with figures_as(parsed.figure_format):
        found = reproduce(
            from_flags(TrainingConfig, parsed, find_recipe("paper")),
            tables=_numbers("--tables", parsed.tables),
            figures=_numbers("--figures", parsed.figures),
            questions=_words(parsed.questions),
            models=_words(parsed.models),
            runs=parsed.runs,
            executor=parsed.executor,
            out=parsed.out,
            force=parsed.force,
        )
    for section in found.sections:
        if section.table is not None:
            shown = section.table.drop(columns=_WIDE, errors="ignore")
            table = Table(*shown.columns, title=section.title)
            for row in shown.itertuples(index=False):
                table.add_row(*map(str, row))
            console.print(table)
            console.print(section.text)
    console.print(f"Saved {found.report}", soft_wrap=True)
    return 0


def _words(text: str | None) -> list[str]:
    return [word for word in (text or "").split(",") if word]


def _numbers(flag: str, text: str | None) -> list[int]:
    """The numbers of `2,4` or `10..19`."""
    found: list[int] = []
    for word in _words(text):
        first, dots, last = word.strip().partition("..")
        last = last if dots else first
        if not (first.isdigit() and last.isdigit() and int(last) <= _MOST):
            raise UserError(
                f"{flag} cannot be {text}. Use numbers of the article such as "
                "2,4 or a range such as 10..19."
            )
        found += range(int(first), int(last) + 1)
    return list(dict.fromkeys(found))
