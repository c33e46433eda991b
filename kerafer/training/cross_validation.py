"""Cross-validation: a training for each fold, and one report."""

from __future__ import annotations

import dataclasses
import gc
import os
import shlex
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kerafer import markdown
from kerafer.console import console
from kerafer.errors import ConfigError
from kerafer.evaluation.bootstrap import bootstrap_intervals
from kerafer.files import output_folder, write_text
from kerafer.settings import as_flags
from kerafer.tables import write_table
from kerafer.training.config import TrainingConfig
from kerafer.training.run import Run, find_run

if TYPE_CHECKING:
    from kerafer.training.distributed import DeviceConfig


def cross_validate(
    config: TrainingConfig,
    count: int,
    out: str | os.PathLike[str] | None = None,
    devices: DeviceConfig | None = None,
) -> pd.DataFrame:
    """Train the model of every fold that is not finished, and report them.

    Args:
        config: The settings of all folds.
        count: Number of folds, at least 2.
        out: Folder of the runs `fold-1`, ..., of `folds.csv` and of
            `report.md`. Default: `runs/<arch>-<dataset>-<count>-folds`.
        devices: As for `train`. Default: one device.

    Returns:
        One row per fold: `fold`, `n_images` and `n_subjects` of its test part
        (`n_subjects` is missing if subjects are unknown), `accuracy`,
        `macro_f1`, and `best_epoch`, whose weights were tested.

    Raises:
        InterruptedTraining: As `train`.
        UserError: For fewer than 2 folds, a split, or earlier folds with
            other settings.
    """
    from kerafer.training.pretrained import with_face_margin
    from kerafer.training.train import train

    if count < 2:
        raise ConfigError(f"`folds` must be 2 or more. Received: {count}.")
    config = with_face_margin(config)
    if config.split:
        raise ConfigError(
            "Use `folds` without `split`: the folds divide the images. "
            f"Received: `split` {config.split}."
        )
    folder = output_folder(
        out, f"runs/{config.arch}-{config.dataset}-{count}-folds"
    )
    runs = []
    for fold in range(1, count + 1):
        # Frees the model of the fold before.
        gc.collect()
        own = dataclasses.replace(config, split=f"fold-{fold}-of-{count}")
        path = folder / f"fold-{fold}"
        begun = find_run(path)
        if begun and begun.config != own:
            raise ConfigError(
                f"The run in {path} has other settings. Use another `out`."
            )
        if begun and begun.is_over:
            runs.append(begun)
            continue
        console.print(f"Fold {fold} of {count}")
        runs.append(
            train(own, path, resume=path if begun else None, devices=devices)
        )
    table = _fold_table(runs)
    write_table(folder / "folds.csv", table)
    write_text(folder / "report.md", _report(runs, table))
    console.print(f"Saved {folder}: report.md, folds.csv")
    return table


def _fold_table(runs: list[Run]) -> pd.DataFrame:
    rows = []
    for fold, run in enumerate(runs, 1):
        test, subjects = run.metrics["test"], _subjects(run)
        rows.append(
            {
                "fold": fold,
                "n_images": test["n_images"],
                "n_subjects": None if subjects is None else subjects.nunique(),
                "accuracy": test["accuracy"],
                "macro_f1": test["macro"]["f1"],
                "best_epoch": run.metrics["best_epoch"],
            }
        )
    return pd.DataFrame(rows).astype({"n_subjects": "Int64"})


def _subjects(run: Run) -> pd.Series | None:
    """The subject of each test image by path, if they are known."""
    tested = run.split[run.split["split"] == "test"].set_index("path")
    subjects = tested.get("subject")
    return None if subjects is None or (subjects == "").any() else subjects


def _report(runs: list[Run], table: pd.DataFrame) -> str:
    config = runs[0].config
    predictions = [run.predictions for run in runs]
    labels = np.concatenate([found.labels for found in predictions])
    predicted = np.concatenate([found.predicted for found in predictions])
    paths = np.concatenate([found.paths for found in predictions])
    subjects = [_subjects(run) for run in runs]
    known = all(one is not None for one in subjects)
    groups = pd.concat(subjects).loc[paths].to_numpy() if known else paths
    intervals = bootstrap_intervals(
        labels, predicted, len(predictions[0].class_names), groups
    )
    flags = as_flags(
        dataclasses.replace(config, split=None), always=("dataset", "arch")
    )
    scores = table[["accuracy", "macro_f1"]]
    return markdown.render(
        "training/templates/cross_validation.md.j2",
        config=config,
        folds=[row._asdict() for row in table.itertuples(index=False)],
        mean=scores.mean(),
        deviation=scores.std(ddof=1),
        accuracy=float((labels == predicted).mean()),
        interval=intervals["accuracy"],
        n_images=len(labels),
        n_groups=len(set(groups)),
        over="subjects" if known else "images",
        notes=list(
            dict.fromkeys(note for run in runs for note in run.metrics["notes"])
        ),
        command=shlex.join(["kerafer", "train", *flags])
        + f" --folds {len(runs)}",
    )
