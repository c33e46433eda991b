"""`kerafer evaluate`: scores with intervals, of one model or of two."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.figures import add_figure_format, figures_as
from kerafer.inference.input_range import HELP
from kerafer.settings import add_flags, given, listed
from kerafer.workflows.evaluation import SUBSETS, evaluate

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
        "--against", metavar="PATH", help="a second model to compare with"
    )
    parser.add_argument(
        "--subset",
        choices=SUBSETS,
        help="which images of the split (default: test for a run on its own "
        "data set and after --split, else all)",
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="class names in the order of the outputs, divided by commas, for "
        "a model without them",
    )
    parser.add_argument("--input-range", metavar="RANGE", help=HELP)
    parser.add_argument(
        "--tta",
        action="store_true",
        help="average the probabilities of each image and of its mirror image",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the results (default: "
        "evaluations/<model>-<dataset>-<subset>)",
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
    with figures_as(parsed.figure_format):
        found = evaluate(
            parsed.model,
            subset=parsed.subset,
            against=parsed.against,
            labels=listed(parsed.labels),
            input_range=parsed.input_range,
            tta=parsed.tta,
            out=parsed.out,
            force=parsed.force,
            **given(DataConfig, parsed),
        )
        out = Path(parsed.out or "evaluations", "")
        if parsed.out is None:
            out = _free_folder(out / found.folder_name, parsed.force)
            found.write(out, parsed.force)
    _show(found, out)
    return 0


def _free_folder(folder: Path, force: bool) -> Path:
    """The folder itself, or with the next free number after it."""
    free, number = folder, 1
    while free.exists() and not force:
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _show(found: Evaluation, out: Path) -> None:
    scores, count = found.scores, len(found.predictions.labels)
    where = f"{count:,} images of {found.dataset}, {found.subset}"
    table = Table(title=f"{found.shown_name} on {where}")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column(f"95 % over {scores.groups:,} {scores.over}")
    for row in found.rows():
        table.add_row(*row)
    console.print(table)
    for note in found.own_notes:
        console.print(note, soft_wrap=True)
    if (comparison := found.comparison) is not None:
        low, high = comparison.interval
        console.print(
            f"{found.verdict} Difference {100 * comparison.difference:+.1f} "
            f"points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}; "
            f"McNemar {comparison.only_first} : {comparison.only_second}, "
            f"p = {comparison.p_value:.2g}.",
            soft_wrap=True,
        )
    console.print(f"Saved {out}: {', '.join(found.files(out))}", soft_wrap=True)
