"""A cross-validation: one training for each fold."""

from __future__ import annotations

import dataclasses
import gc
import os
from typing import TYPE_CHECKING

from kerafer.console import console
from kerafer.errors import ConfigError
from kerafer.files import output_folder
from kerafer.training.config import TrainingConfig

if TYPE_CHECKING:
    from kerafer.training.cross_validation import CrossValidation
    from kerafer.training.distributed import DeviceConfig


def cross_validate(
    config: TrainingConfig,
    count: int,
    out: str | os.PathLike[str] | None = None,
    devices: DeviceConfig | None = None,
) -> CrossValidation:
    """Train each fold that is not over yet, and tell of all.

    Args:
        config: The settings of all folds.
        count: How many there are, at least 2.
        out: Folder of the runs, `fold-1` and so on. `None` makes
            `runs/<arch>-<dataset>-<count>-folds`.
        devices: As for `train`. Defaults to one device.

    Returns:
        The runs and their scores, which are in the folder's `report.md` too.

    Raises:
        InterruptedTraining: As `train`.
        UserError: For a number below 2, a split, or earlier folds with other
            settings.
    """
    from kerafer.training.pretrained import with_face_margin
    from kerafer.training.run import find_run
    from kerafer.training.train import train

    if count < 2:
        raise ConfigError(f"`folds` is 2 or more. Received: {count}.")
    config = with_face_margin(config)
    if config.split:
        raise ConfigError(
            "`folds` divides the images itself; `split` is left out. "
            f"Received: `split` {config.split}."
        )
    out = output_folder(
        out, f"runs/{config.arch}-{config.dataset}-{count}-folds"
    )
    runs = []
    for fold in range(1, count + 1):
        # The model of the fold before, and what was traced for it.
        gc.collect()
        own = dataclasses.replace(config, split=f"fold-{fold}-of-{count}")
        path = out / f"fold-{fold}"
        runs.append(path)
        begun = find_run(path)
        if begun and begun.config != own:
            raise ConfigError(
                "The folds of one cross-validation have the same settings. "
                f"There are others in {path}; take another `out`."
            )
        if begun and begun.is_over:
            console.print(f"{path} is over already.")
            continue
        console.print(f"Fold {fold} of {count}")
        train(own, path, resume=path if begun else None, devices=devices)
    from kerafer.files import write_text
    from kerafer.tables import write_table
    from kerafer.training.cross_validation import CrossValidation

    done = CrossValidation(runs)
    write_table(out / "folds.csv", done.table())
    write_text(out / "report.md", done.report())
    console.print(f"Written to {out}: report.md, folds.csv")
    return done
