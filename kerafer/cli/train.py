"""`kerafer train`."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Any

from kerafer.cli.options import (
    FigureFormat,
    Given,
    Int,
    make_settings,
    with_options,
)
from kerafer.console import console
from kerafer.engine import let_gpu_memory_grow
from kerafer.errors import UserError, flag_of
from kerafer.figures import figures_as
from kerafer.training.config import TrainingConfig
from kerafer.training.distributed import DeviceConfig
from kerafer.training.recipes import find_recipe
from kerafer.training.run import Run


@with_options(given=TrainingConfig, place=DeviceConfig)
def train(
    given: Given | None = None,
    *,
    place: Given | None = None,
    config: str | None = None,
    folds: Int | None = None,
    out: str | None = None,
    resume: str | None = None,
    figure_format: FigureFormat = "png",
) -> None:
    """Train a model on a data set and test it.

    Args:
        config: YAML file with any of these settings, or a recipe: paper,
            strong or ferplus. Options override it.
        folds: Cross-validate: train this many times, each with another part
            of the subjects as test set.
        out: Folder of the run. Default: runs/<arch>-<dataset>-<time>.
        resume: Continue this interrupted run with its own settings.
        figure_format: Format of figures, in addition to png.
    """
    from kerafer.training.cross_validation import cross_validate
    from kerafer.training.run_report import show_run
    from kerafer.training.train import train

    given = given or {}
    devices = make_settings(DeviceConfig, place)
    if folds is not None and devices.count > 1:
        raise UserError(
            "--num-processes cannot be combined with --folds. Train one fold "
            "with --split fold-1-of-5."
        )
    let_gpu_memory_grow()
    if not devices.is_first:
        console.quiet = True
    with figures_as(figure_format):
        if resume is not None:
            others = {"config": config, "out": out, "folds": folds}
            _refuse(resume, given | {k: v for k, v in others.items() if v})
            run = train(resume=resume, devices=devices)
        else:
            settings = make_settings(
                TrainingConfig, given, config and find_recipe(config)
            )
            if folds is not None:
                cross_validate(settings, folds, out, devices)
                return
            run = train(settings, out, devices=devices)
    if devices.is_first:
        show_run(run)


def _refuse(resume: str, others: dict[str, Any]) -> None:
    """Refuse other settings for a run that is resumed."""
    run = Run.open(resume)
    if not others:
        return
    names = {field.name for field in fields(TrainingConfig)} | {"out", "folds"}
    words = [
        word
        for name, value in others.items()
        if name in names
        for word in (flag_of(name), *([] if value is True else [str(value)]))
    ]
    raise UserError(
        "--resume continues a run with its own settings, so it cannot be "
        f"combined with {', '.join(map(flag_of, sorted(others)))}.\n"
        "To train its model further with other settings:\n"
        f"    {run.train_further(*map(shlex.quote, words))}"
    )
