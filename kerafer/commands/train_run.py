"""One training, from the pictures to the report."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING

from kerafer.console import console
from kerafer.errors import UserError
from kerafer.files import is_full
from kerafer.lifetimes import interrupts_kept
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import ALONE, Processes

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from kerafer.commands.pictures import Pictures
    from kerafer.training.distillation import Distillation
    from kerafer.training.run_folder import RunFolder


def train_run(
    config: TrainingConfig,
    out: str | None,
    resume: str | None,
    processes: Processes = ALONE,
) -> int:
    """Train, or go on training, and test.

    Args:
        config: The run's settings.
        out: Its folder, new or empty. `None` makes one in `runs`.
        resume: Folder of an interrupted run to go on with, or `None`.
        processes: Which of several this is, which all do the same until the
            first alone tests. Defaults to the only one.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.
    """
    from kerafer.commands.pictures import find_pictures
    from kerafer.commands.train_model import load_teachers, starting_model
    from kerafer.data.splits import default_kind
    from kerafer.models.registry import find_builder
    from kerafer.training.precision import resolve_precision
    from kerafer.training.run_folder import RunFolder
    from kerafer.training.scope import training_settings

    find_builder(config.arch, config.model_options)
    with contextlib.ExitStack() as held:
        folder = split = None
        if resume:
            folder, _ = RunFolder.open(resume)
            held.enter_context(folder.held())
            split = folder.split if folder.split.exists() else None
        elif out:
            RunFolder.check_free(out)
        pictures = find_pictures(config, split)
        if split:
            name = config.split or default_kind(pictures.dataset)
            pictures = dataclasses.replace(pictures, split_name=name)
        if processes.several:
            # Kept on disk by then, so that none waits long for another.
            pictures.decode(config)
        processes.meet()
        # It asks JAX for its devices, which all have met for by then.
        precision = resolve_precision(config.precision)
        with training_settings(config.seed, config.deterministic, precision):
            model = starting_model(config, pictures)
            distillation = load_teachers(config, pictures)
            if folder is None:
                folder = RunFolder.create(config, out)
                held.enter_context(folder.held())
            return _train(
                config,
                precision,
                pictures,
                model,
                distillation,
                folder,
                processes,
            )


def _train(
    config: TrainingConfig,
    precision: str,
    pictures: Pictures,
    model: keras.Model,
    distillation: Distillation | None,
    folder: RunFolder,
    processes: Processes,
) -> int:
    from kerafer.data import write_split
    from kerafer.training.replicas import one_device

    run = folder.path if processes.is_first else "RUN"
    again = f"kerafer train --resume {run}{processes.flags}"
    try:
        write_split(folder.split, pictures.dataset, pictures.split)
        images = pictures.decode(config)
        console.print(
            f"{config.arch}: {model.count_params():,} parameters, {precision}, "
            f"in {folder.path}"
        )
        with interrupts_kept():
            history = _fit(
                config, model, distillation, pictures, images, folder, processes
            )
        processes.part()
        if processes.is_first:
            with one_device():
                _test(config, precision, pictures, images, folder, history)
    except KeyboardInterrupt:
        print(
            f"kerafer train: interrupted; {_kept(folder)}. Go on with\n"
            f"    {again}",
            file=sys.stderr,
        )
        return 130
    except OSError as error:
        if not is_full(error):
            raise
        raise UserError(
            f"The disk is full; {_kept(folder)}. Make room, and go on with\n"
            f"    {again}"
        ) from error
    return 0


def _kept(folder: RunFolder) -> str:
    from kerafer.training.run_backup import RunBackup

    epochs = RunBackup(folder.path / "backup").epochs_done
    return f"{epochs} epoch{'s are' if epochs != 1 else ' is'} kept"


def _fit(
    config: TrainingConfig,
    model: keras.Model,
    distillation: Distillation | None,
    pictures: Pictures,
    images: np.ndarray,
    folder: RunFolder,
    processes: Processes,
) -> pd.DataFrame:
    from kerafer.data.pipeline import Batches, TrainingBatches
    from kerafer.training.device import fits_on_device, steps_together
    from kerafer.training.fit import fit
    from kerafer.training.replicas import replicas, sharing_devices

    dataset = pictures.dataset
    targets, rows = dataset.targets, _rows(pictures, "train")
    if distillation is not None and config.ask_teachers == "once":
        asked = Batches(images, targets, config.batch_size, rows)
        targets, distillation = distillation.blend(targets, asked), None
    devices = sharing_devices()
    alone = devices == 1 and not processes.several
    held = alone and fits_on_device(images.nbytes)
    batches = TrainingBatches(
        images,
        targets,
        config.batch_size,
        config.seed,
        rows,
        (processes.index, processes.count),
        devices,
        held,
        steps_together() if held else 1,
    )
    validation = Batches(
        images,
        targets,
        config.batch_size,
        _rows(pictures, "validation"),
        held,
        # TensorFlow's replicas divide batches of any size.
        devices if replicas() == 1 else 1,
    )
    return fit(
        model,
        batches,
        validation,
        dataset.labels[rows],
        config,
        folder.path,
        distillation,
    )


def _test(
    config: TrainingConfig,
    precision: str,
    pictures: Pictures,
    images: np.ndarray,
    folder: RunFolder,
    history: pd.DataFrame,
) -> None:
    from kerafer.commands.train_report import show_run, write_run
    from kerafer.data.pipeline import Batches
    from kerafer.evaluation import classify
    from kerafer.evaluation.predictions import (
        Predictions,
        checked_probabilities,
    )
    from kerafer.models import load_model
    from kerafer.training.answers import finish_answers

    dataset, rows = pictures.dataset, _rows(pictures, "test")
    names, labels = dataset.class_names, dataset.labels
    best = load_model(folder.best)
    answers = finish_answers(
        best,
        config,
        folder,
        images,
        dataset.targets,
        _rows(pictures, "train"),
        _rows(pictures, "validation"),
        dataset.has_shares,
    )
    batches = Batches(images, dataset.targets, config.batch_size, rows)
    probabilities = best.predict(batches, verbose=0)
    scores = classify(labels[rows], probabilities, names)
    Predictions(
        dataset.manifest["path"].to_numpy()[rows],
        labels[rows],
        checked_probabilities(probabilities, str(folder.best)),
        names,
    ).write(folder.predictions)
    write_run(
        config, precision, best, pictures, folder, history, scores, answers
    )
    show_run(config, folder, history, scores)


def _rows(pictures: Pictures, part: str) -> np.ndarray:
    import numpy as np

    return np.flatnonzero(pictures.split.to_numpy() == part)
