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
from kerafer.engine import let_gpu_memory_grow
from kerafer.errors import UserError, flag_of
from kerafer.figures import figures_as
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import PlaceConfig
from kerafer.training.recipes import find_recipe
from kerafer.training.run_folder import RunFolder


@with_options(given=TrainingConfig, place=PlaceConfig)
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
    from kerafer.workflows.cross_validation import cross_validate
    from kerafer.workflows.run_report import show_run
    from kerafer.workflows.shared_training import train_together
    from kerafer.workflows.training import train

    given = given or {}
    where = make_settings(PlaceConfig, place)
    if resume is not None:
        others = given | {
            name: value
            for name, value in (
                ("config", config),
                ("out", out),
                ("folds", folds),
            )
            if value is not None
        }
        settings = _settings_of(resume, others)
    else:
        settings = make_settings(
            TrainingConfig, given, config and find_recipe(config)
        )
    let_gpu_memory_grow()
    with figures_as(figure_format):
        if where.processes.several:
            if folds is not None or where.devices == "all":
                raise UserError(
                    "--num-processes cannot be combined with --folds or "
                    "--devices all. Train one fold with --split fold-1-of-5."
                )
            run = train_together(settings, out, resume, where.processes)
        elif folds is not None:
            cross_validate(settings, folds, out, where.devices)
            return
        else:
            run = train(settings, out, resume=resume, devices=where.devices)
    if run is not None:
        show_run(run)


def _settings_of(resume: str, others: dict[str, Any]) -> TrainingConfig:
    """Return the settings of the run to resume, if no others are given."""
    folder, settings = RunFolder.open(resume)
    if not others:
        folder.check_broken_off()
        return settings
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
        f"    {folder.train_further(*map(shlex.quote, words))}"
    )
