"""One training, from the images to the report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.console import console
from kerafer.engine import load_backend
from kerafer.errors import ConfigError, UserError
from kerafer.files import is_full, output_folder
from kerafer.signals import interruptible
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import ALONE, DEVICES, Processes
from kerafer.training.run_folder import RunFolder
from kerafer.workflows.run import Run
from kerafer.workflows.starting_model import with_face_margin

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from kerafer.training.distillation import Distillation
    from kerafer.workflows.split_dataset import SplitDataset


class InterruptedTraining(KeyboardInterrupt):
    """Ctrl-C, or a `kill`, of a training that can go on.

    Args:
        run: Its folder.
        epochs: How many of its epochs are kept.
        again: How many those are and how it goes on, the end of a sentence.
    """

    def __init__(self, run: Path, epochs: int, again: str) -> None:
        super().__init__(f"interrupted; {again}")
        self.run = run
        self.epochs = epochs


def train(
    config: TrainingConfig | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: str | os.PathLike[str] | None = None,
    processes: Processes = ALONE,
    devices: str = "one",
) -> Run:
    """Train a model and test it, or go on with a training.

        run = kerafer.train(kerafer.TrainingConfig(dataset="synthetic"))
        print(run.metrics["test"]["accuracy"])

    Args:
        config: The settings. Defaults to those of `resume`.
        out: The run's folder, new or empty. Defaults to a new one in `runs`.
        resume: Folder of an interrupted run to go on with, with its own
            settings.
        processes: Which of several this is, which all do the same until the
            first alone tests. Defaults to the only one.
        devices: `"all"` lets every GPU of this machine take a share of each
            batch. Defaults to `"one"`.

    Returns:
        The run, which is over.

    Raises:
        InterruptedTraining: For Ctrl-C and SIGTERM once there is something to
            go on with.
        UserError: For settings, images or a folder that can't be, a loss that
            is no number, a full disk.
    """
    if devices not in DEVICES:
        raise ConfigError(
            f"`devices` is {' or '.join(DEVICES)}. Received: {devices}."
        )
    folder = None
    if config is not None:
        config = with_face_margin(config)
    if processes.is_first:
        _check_folder(out, resume)
    if resume is not None:
        folder, own = RunFolder.open(resume)
        if config not in (None, own):
            raise UserError(
                "A run goes on with its own settings. There are others in "
                f"{os.fspath(resume)}."
            )
        folder.check_broken_off()
        config = own
    if config is None:
        raise UserError("A training has a config, or a run to resume.")
    # Backends take seconds to import; mistakes above come without it.
    load_backend()
    from kerafer.datasets.splits import default_kind
    from kerafer.models.registry import find_model
    from kerafer.training.precision import resolve_precision
    from kerafer.training.replicas import all_devices
    from kerafer.training.scope import training_settings
    from kerafer.workflows.split_dataset import find_data
    from kerafer.workflows.starting_model import load_teachers, starting_model

    spec = find_model(config.arch, **config.model_options)
    if (note := spec.size_note(config.image_size)) is not None:
        console.warn(note)
    with contextlib.ExitStack() as held:
        if devices == "all":
            held.enter_context(all_devices(config.batch_size))
        split = None
        if folder is not None:
            held.enter_context(folder.held())
            split = folder.split if folder.split.exists() else None
        data = find_data(config, split)
        if split:
            name = config.split or default_kind(data.dataset)
            data = dataclasses.replace(data, split_name=name)
        if processes.several:
            # Kept on disk by then, so that none waits long for another.
            data.decode(config)
        processes.meet()
        # It asks JAX for its devices, which all have met for by then.
        precision = resolve_precision(config.precision)
        with training_settings(config.seed, config.deterministic, precision):
            model = starting_model(config, data)
            distillation = load_teachers(config, data)
            if folder is None:
                folder = RunFolder.create(config, out)
                held.enter_context(folder.held())
            _train(
                config,
                precision,
                data=data,
                model=model,
                distillation=distillation,
                folder=folder,
                processes=processes,
            )
            return Run(folder, config)


def _check_folder(
    out: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
) -> None:
    """Refuse a folder that the run could not be written to in the end."""
    if resume is not None:
        output_folder(resume, name="`resume`")
    elif out is None:
        output_folder("runs")
    else:
        RunFolder.check_free(out)


def _train(
    config: TrainingConfig,
    precision: str,
    data: SplitDataset,
    model: keras.Model,
    distillation: Distillation | None,
    folder: RunFolder,
    processes: Processes,
) -> None:
    from kerafer.datasets import write_split
    from kerafer.evaluation.complexity import trainable_parameters
    from kerafer.training.replicas import one_device
    from kerafer.training.run_backup import RunBackup

    try:
        write_split(folder.split, data.dataset, data.split)
        images = data.decode(config)
        console.print(
            f"{config.arch}: {trainable_parameters(model):,} parameters, "
            f"{precision}, in {folder.path}"
        )
        with interruptible():
            history = _fit(
                config,
                model,
                distillation=distillation,
                data=data,
                images=images,
                folder=folder,
                processes=processes,
            )
        processes.part()
        if processes.is_first:
            with one_device():
                _test(
                    config,
                    precision,
                    data=data,
                    images=images,
                    folder=folder,
                    history=history,
                )
    except (KeyboardInterrupt, OSError) as error:
        full = isinstance(error, OSError)
        if isinstance(error, OSError) and not is_full(error):
            raise
        epochs = RunBackup(folder.path / "backup").epochs_done
        kept = f"{epochs} epoch{'s are' if epochs != 1 else ' is'} kept"
        run = folder.path if processes.is_first else "RUN"
        again = processes.going_on(run)
        if full:
            raise UserError(
                f"The disk is full; {kept}. Make room, and go on with\n{again}"
            ) from error
        raise InterruptedTraining(
            folder.path, epochs, f"{kept}. Go on with\n{again}"
        ) from error


def _fit(
    config: TrainingConfig,
    model: keras.Model,
    distillation: Distillation | None,
    data: SplitDataset,
    images: np.ndarray,
    folder: RunFolder,
    processes: Processes,
) -> pd.DataFrame:
    from kerafer.datasets.device import fits_on_device, steps_together
    from kerafer.datasets.pipeline import Batches, TrainingBatches
    from kerafer.training.fit import fit
    from kerafer.training.replicas import replicas, sharing_devices

    dataset = data.dataset
    targets, rows = dataset.targets, data.rows("train")
    if distillation is not None and config.precompute_teachers:
        asked = Batches(images, targets, config.batch_size, rows)
        targets, distillation = distillation.blend(targets, asked), None
    devices = sharing_devices()
    alone = devices == 1 and not processes.several
    held = alone and fits_on_device(images.nbytes)
    batches = TrainingBatches(
        images,
        targets,
        batch_size=config.batch_size,
        seed=config.seed,
        rows=rows,
        share=(processes.index, processes.count),
        multiple=devices,
        by_row=held,
        together=steps_together() if held else 1,
    )
    validation = Batches(
        images,
        targets,
        batch_size=config.batch_size,
        rows=data.rows("validation"),
        by_row=held,
        # TensorFlow's replicas divide batches of any size.
        multiple=devices if replicas() == 1 else 1,
    )
    return fit(
        model,
        batches,
        validation=validation,
        labels=dataset.labels[rows],
        config=config,
        folder=folder.path,
        distillation=distillation,
    )


def _test(
    config: TrainingConfig,
    precision: str,
    data: SplitDataset,
    images: np.ndarray,
    folder: RunFolder,
    history: pd.DataFrame,
) -> None:
    from kerafer.datasets.pipeline import Batches
    from kerafer.evaluation.predictions import (
        Predictions,
        checked_probabilities,
    )
    from kerafer.models import load_model
    from kerafer.training.answers import finish_answers
    from kerafer.workflows.run_report import write_run

    dataset, rows = data.dataset, data.rows("test")
    names, labels = dataset.class_names, dataset.labels
    best = load_model(folder.best)
    answers = finish_answers(
        best,
        config,
        folder=folder,
        images=images,
        targets=dataset.targets,
        train=data.rows("train"),
        validation=data.rows("validation"),
        votes=dataset.has_shares,
    )
    batches = Batches(images, dataset.targets, config.batch_size, rows)
    probabilities = best.predict(batches, verbose=0)
    subjects = None
    if dataset.has_subjects:
        subjects = dataset.manifest["subject"].to_numpy(object)[rows]
    predictions = Predictions(
        dataset.manifest["path"].to_numpy()[rows],
        labels[rows],
        checked_probabilities(probabilities, str(folder.best)),
        names,
        subjects,
    )
    predictions.write(folder.predictions)
    write_run(
        config,
        precision,
        model=best,
        data=data,
        folder=folder,
        history=history,
        predictions=predictions,
        answers=answers,
    )
