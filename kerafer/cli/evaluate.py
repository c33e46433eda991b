"""`kerafer evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from kerafer.cli.options import Given, with_options
from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.files import results_folder
from kerafer.settings import listed

if TYPE_CHECKING:
    from kerafer.evaluation.evaluation import Evaluation


@with_options(without=("channels",), given=DataConfig)
def evaluate(
    given: Given | None = None,
    *,
    model: str,
    against: str | None = None,
    subset: Literal["test", "validation", "train", "all"] | None = None,
    labels: str | None = None,
    input_range: str | None = None,
    bgr: bool = False,
    logits: bool = False,
    tta: bool = False,
    target_accuracy: float | None = None,
    out: str | None = None,
    force: bool = False,
) -> None:
    """Score a model on images, or compare two models.

    Args:
        model: Run, which is tested on its own test set; or, with --dataset,
            any model file, export or included model.
        against: Second model, which is compared on the same images.
        subset: Part of the data set. Default: test for a run on its own data
            set and with --split, else all.
        labels: Class names in the order of the outputs, separated by commas,
            for a model without them.
        input_range: Input values of the model: 0..255, 0..1, -1..1 or
            mean/std. Default: that of the model file.
        bgr: Give the model images in the order B, G, R.
        logits: Apply softmax to the outputs of the model.
        tta: Average the probabilities of each image and its mirror image.
        target_accuracy: Find thresholds of the validation images above which
            predictions are right this often, such as 0.95.
        out: Folder of the results. Default:
            evaluations/<model>-<dataset>-<subset>.
        force: Overwrite an earlier evaluation in the folder.
    """
    from kerafer.evaluation.evaluate import evaluate

    found = evaluate(
        model,
        subset=subset,
        against=against,
        labels=listed(labels),
        input_range=input_range,
        bgr=bgr,
        logits=logits,
        tta=tta,
        target_accuracy=target_accuracy,
        out=out,
        force=force,
        **(given or {}),
    )
    folder = Path(out or "")
    if out is None:
        name = f"evaluations/{found.folder_name}"
        folder = results_folder(None, name, force)
        found.write(folder, force)
    _show(found, folder)


def _show(found: Evaluation, folder: Path) -> None:
    scores, facts = found.scores, found.facts
    where = f"{len(found.images):,} images of {facts['dataset']}"
    table = Table(title=f"{found.shown_name} on {where}, {facts['subset']}")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column(f"95 % over {scores.groups:,} {scores.over}")
    for row in found.rows():
        table.add_row(*row)
    console.print(table)
    panel = scores.votes and scores.votes.describe_panel()
    answers = scores.selective and scores.selective.describe()
    for note in filter(None, (panel, answers, *found.notes)):
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
    console.print(f"Saved {folder}: report.md and its files", soft_wrap=True)
