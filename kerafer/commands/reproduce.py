"""`kerafer reproduce`: the article's tables and figures, ours beside its."""

from __future__ import annotations

import argparse

from kerafer.errors import UserError
from kerafer.figures import add_figure_format, figures_as
from kerafer.settings import add_flags, from_flags
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe
from kerafer.workflows.reproduction import reproduce

# What a reproduction varies itself.
_OWN = ("arch", "options")
# Of a number of the article.
_DIGITS = 3


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
        "--archs",
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
    """Plan, train what is missing, and write the report."""
    with figures_as(parsed.figure_format):
        _reproduce(parsed)
    return 0


def _reproduce(parsed: argparse.Namespace) -> None:
    reproduce(
        from_flags(TrainingConfig, parsed, find_recipe("paper")),
        tables=_numbers("--tables", parsed.tables),
        figures=_numbers("--figures", parsed.figures),
        questions=_words(parsed.questions),
        archs=_words(parsed.archs),
        runs=parsed.runs,
        executor=parsed.executor,
        out=parsed.out,
        force=parsed.force,
    )


def _words(text: str | None) -> list[str]:
    return [word for word in (text or "").split(",") if word]


def _numbers(flag: str, text: str | None) -> list[int]:
    """The numbers of `2,4` or `10..19`."""
    found: list[int] = []
    for word in (text or "").split(","):
        first, dots, last = word.strip().partition("..")
        if not word.strip():
            continue
        if not first.isdigit() or (dots and not last.isdigit()):
            raise UserError(
                f"{flag} takes numbers divided by commas, or a range such as "
                f"10..19. Received: {text}."
            )
        if max(len(first), len(last)) > _DIGITS:
            raise UserError(
                f"{flag} takes the article's numbers, such as 4. Received: "
                f"{text}."
            )
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))
