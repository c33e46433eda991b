"""`kerafer train`."""

from __future__ import annotations

from kerafer.cli.options import (
    Given,
    Int,
    make_settings,
    with_options,
)
from kerafer.console import console
from kerafer.engine import let_gpu_memory_grow
from kerafer.errors import UserError, flag_of
from kerafer.training.config import TrainingConfig
from kerafer.training.distributed import DeviceConfig
from kerafer.training.recipes import find_recipe


@with_options(given=TrainingConfig, place=DeviceConfig)
def train(
    given: Given | None = None,
    *,
    place: Given | None = None,
    config: str | None = None,
    folds: Int | None = None,
    out: str | None = None,
    resume: str | None = None,
) -> None:
    """Train a model on a data set and test it.

    Args:
        config: YAML file with any of these settings, or a recipe: paper,
            strong or ferplus. Options override it.
        folds: Cross-validate: train this many times, each with another part
            of the subjects as test set.
        out: Folder of the run. Default: runs/<arch>-<dataset>-<time>.
        resume: Continue this interrupted run with its own settings.
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
    if resume is not None:
        others = {"config": config, "out": out, "folds": folds}
        given |= {name: value for name, value in others.items() if value}
        if given:
            raise UserError(
                "--resume continues a run with its own settings and cannot be "
                f"combined with {', '.join(map(flag_of, sorted(given)))}.\n"
                f"To train its model further: --init-from {resume}"
            )
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
