"""`kerafer reproduce`."""

from __future__ import annotations

import re
from typing import Literal

from rich.table import Table

from kerafer.cli.options import (
    Given,
    Int,
    make_settings,
    with_options,
)
from kerafer.console import console
from kerafer.errors import UserError
from kerafer.settings import listed
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe

# Columns of the report that do not fit on 80 characters.
_WIDE = ["differs", "test images", "precision %", "recall %"]


@with_options(without=("arch", "options"), given=TrainingConfig)
def reproduce(
    given: Given | None = None,
    *,
    tables: str | None = None,
    figures: str | None = None,
    questions: str | None = None,
    models: str | None = None,
    runs: Int = 5,
    executor: Literal["here", "ray"] = "here",
    out: str | None = None,
    force: bool = False,
) -> None:
    """Reproduce the tables and figures of the article.

    Args:
        tables: Numbers of tables, 2 to 8, such as 4,5. Default: all of the
            data set.
        figures: Numbers of figures, 1 to 19, such as 1,10..19. Default: 10 to
            19 of the data set.
        questions: Ablations that the article leaves open, such as
            stem,split, or all.
        models: Only these models, separated by commas.
        runs: Trainings of each model.
        executor: Train here, one after the other, or on a Ray cluster.
        out: Folder of the report and the runs. Default:
            reproduction/<dataset>.
        force: Overwrite the report of another command. Runs are kept.
    """
    from kerafer.reproduction.reproduce import reproduce

    # The defaults here are the article's.
    config = make_settings(TrainingConfig, given, find_recipe("paper"))
    found = reproduce(
        config,
        tables=_numbers("--tables", tables),
        figures=_numbers("--figures", figures),
        questions=listed(questions) or [],
        models=listed(models) or [],
        runs=runs,
        executor=executor,
        out=out,
        force=force,
    )
    for section in found.sections:
        if section.table is not None:
            shown = section.table.drop(columns=_WIDE, errors="ignore")
            table = Table(*shown.columns, title=section.title)
            for row in shown.itertuples(index=False):
                table.add_row(*map(str, row))
            console.print(table)
        if section.text:
            console.print(section.text)
    console.print(f"Saved {found.report}", soft_wrap=True)


def _numbers(flag: str, text: str | None) -> list[int]:
    """Return the numbers of `2,4` or `10..19`."""
    found: list[int] = []
    for word in listed(text) or []:
        match = re.fullmatch(r"(\d{1,2})(?:\.\.(\d{1,2}))?", word)
        if match is None:
            raise UserError(
                f"{flag} cannot be {text}. Use numbers of the article such as "
                "2,4 or a range such as 10..19."
            )
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(found))
