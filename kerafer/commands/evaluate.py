"""`kerafer evaluate`: scores with intervals, of one model or of two."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.figures import add_figure_format, figures_as
from kerafer.settings import add_flags, given, listed
from kerafer.workflows.evaluation import PARTS, default_folder, evaluate

if TYPE_CHECKING:
    from kerafer.evaluation.evaluation import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        required=True,
        help="folder of a run, which brings its data set and split along; or, "
        "with --dataset, any model's file, export or name",
    )
    parser.add_argument(
        "--against",
        metavar="PATH",
        help="a second model, or the folder of an earlier evaluation of the "
        "same images",
    )
    parser.add_argument(
        "--part",
        choices=PARTS,
        help="which images of the split (default: test for a run on its own "
        "data set and after --split, else all)",
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="class names in the order of the outputs, divided by commas, for "
        "a model without them",
    )
    parser.add_argument(
        "--flips",
        action="store_true",
        help="take the mean of each image's probabilities and those of its "
        "mirror image, for --against too unless it is an evaluation",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the results (default: "
        "evaluations/<model>-<dataset>-<part>, and -flips)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace an earlier evaluation in that folder",
    )
    add_figure_format(parser)
    add_flags(parser, DataConfig)


def run(parsed: argparse.Namespace) -> int:
    """Evaluate, write and show."""
    settings = given(DataConfig, parsed)
    out = parsed.out
    if out is None:
        out = default_folder(parsed.model, settings, parsed.part, parsed.flips)
    with figures_as(parsed.figure_format):
        found = evaluate(
            parsed.model,
            part=parsed.part,
            against=parsed.against,
            labels=listed(parsed.labels),
            flips=parsed.flips,
            out=out,
            force=parsed.force,
            **settings,
        )
    _show(found, Path(out))
    return 0


def _show(found: Evaluation, out: Path) -> None:
    from kerafer.evaluation.evaluation import FILES
    from kerafer.evaluation.evaluation_report import points, verdict

    scores, count = found.scores, len(found.predictions.labels)
    where = f"{count:,} images of {found.dataset}, {found.part}"
    table = Table(title=f"{found.told_name} on {where}")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column(f"95 % over {scores.groups:,} {scores.over}")
    for row in scores.rows():
        table.add_row(*row)
    console.print(table)
    for note in found.own_notes:
        console.print(note, soft_wrap=True)
    if (comparison := found.comparison) is not None:
        console.print(
            f"{verdict(*found.names, comparison, scores.over)} Difference "
            f"{points(comparison.difference)} points, 95 % interval "
            f"{points(comparison.interval.low)} to "
            f"{points(comparison.interval.high)}; McNemar "
            f"{comparison.only_first} : {comparison.only_second}, "
            f"p = {comparison.p_value:.2g}.",
            soft_wrap=True,
        )
    written = ", ".join(name for name in FILES if (out / name).exists())
    console.print(f"Written to {out}: {written}", soft_wrap=True)
