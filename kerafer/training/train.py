"""One training: data, split, model, fit, test, report."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.console import console
from kerafer.engine import load_backend
from kerafer.errors import UserError
from kerafer.files import atomic_write, is_full, output_folder
from kerafer.signals import interruptible
from kerafer.training.config import TrainingConfig
from kerafer.training.distributed import DeviceConfig
from kerafer.training.pretrained import with_face_margin
from kerafer.training.run import Run

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from kerafer.datasets import Dataset
    from kerafer.training.distillation import Distillation


class InterruptedTraining(KeyboardInterrupt):
    """A training that was stopped by Ctrl-C or `kill`, and can be resumed.

    Args:
        run: The run's folder.
        epochs: Number of epochs that are kept.
        command: The command that resumes it.
    """

    def __init__(self, run: Path, epochs: int, command: str) -> None:
        super().__init__(
            f"interrupted after {epochs} epochs. Resume with\n    {command}"
        )
        self.run = run
        self.epochs = epochs


def train(
    config: TrainingConfig | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: str | os.PathLike[str] | None = None,
    devices: DeviceConfig | None = None,
) -> Run:
    """Train a model and test it, or resume a training.

        run = kerafer.train(kerafer.TrainingConfig(dataset="synthetic"))
        print(run.metrics["test"]["accuracy"])

    Args:
        config: The settings. Default: those of `resume`.
        out: The run's folder, new or empty. Default: a new one in `runs`.
        resume: The folder of an interrupted run.
        devices: GPUs and processes. Default: one device.

    Returns:
        The finished run.

    Raises:
        InterruptedTraining: After Ctrl-C or SIGTERM.
        UserError: For settings, images or a folder that cannot be used, a loss
            of NaN, or a full disk.
    """
    run = _open_run(config, out, resume)
    config, devices = run.config, devices or DeviceConfig()
    devices.check(config.batch_size)
    # Backends take seconds to import; mistakes above are told before.
    load_backend()
    from kerafer.datasets import write_split
    from kerafer.datasets.decoded import decode_as
    from kerafer.datasets.loading import load_data
    from kerafer.evaluation.model_cost import trainable_parameters
    from kerafer.layers import adapt_wavelets
    from kerafer.models.registry import find_model
    from kerafer.training.precision import resolve_precision
    from kerafer.training.pretrained import load_teachers, make_model
    from kerafer.training.reproducibility import reproducible

    spec = find_model(config.arch, **config.model_options)
    if (note := spec.size_note(config.image_size)) is not None:
        console.warn(note)

    # Data and split. A resumed run has the split of its start.
    split = run.path / "split.csv"
    data = load_data(config, split if split.is_file() else None)

    if devices.count > 1:
        # Fill the cache, so that no process waits long for another.
        decode_as(data, config)
    devices.initialize()
    precision = resolve_precision(config.precision)
    with contextlib.ExitStack() as stack:
        if not devices.is_first:
            # All processes write a distributed model, but one folder is kept.
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            run = _private_copy(run, Path(folder) / "run")
        stack.enter_context(
            reproducible(config.seed, config.deterministic, precision)
        )
        with devices.scope(config.batch_size) as num_devices:
            # Model and teachers. They must not have seen test images.
            model = make_model(config, data)
            distillation = load_teachers(config, data)

            # Images, cropped to the face if `face_crop` is set.
            stack.enter_context(run.begin())
            write_split(run.path / "split.csv", data, data.manifest["split"])
            images = decode_as(data, config).pixels
            if config.init_from is None:
                adapt_wavelets(model, images[data.indices("train")[:256]])

            # Fit. The loss is chosen by `losses.make_objective`.
            console.print(
                f"{config.arch}: {trainable_parameters(model):,} parameters, "
                f"{precision}, in {run.path}"
            )
            with _resumable(run, devices), interruptible():
                history = _fit(
                    run,
                    model,
                    distillation,
                    data=data,
                    images=images,
                    devices=devices,
                    num_devices=num_devices,
                )
        devices.shutdown()

        # Test and report, with the weights of the lowest validation loss.
        if devices.is_first:
            with _resumable(run, devices):
                _test(run, data, images, history, precision)
    return run


def _open_run(
    config: TrainingConfig | None,
    out: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
) -> Run:
    if resume is None:
        if config is None:
            raise UserError("A training needs `config`, or a run to `resume`.")
        return Run.new(with_face_margin(config), out)
    run = Run.open(output_folder(resume, name="`resume`"))
    if config not in (None, run.config):
        raise UserError(
            f"A resumed run keeps its settings. Those of {run.path} are "
            "different."
        )
    if run.is_over:
        raise UserError(
            f"Only an interrupted run can be resumed. {run.path} is finished; "
            f"see {run.path / 'report.md'}.\nTo train its model further: "
            f"{run.train_further()}"
        )
    return run


def _private_copy(run: Run, folder: Path) -> Run:
    if (run.path / "config.yaml").is_file():
        ignore = shutil.ignore_patterns("tensorboard", ".lock")
        shutil.copytree(run.path, folder, ignore=ignore)
    return Run(folder, run.config)


@contextlib.contextmanager
def _resumable(run: Run, devices: DeviceConfig) -> Iterator[None]:
    """Tell how to resume after Ctrl-C and on a full disk."""
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        from kerafer.training.checkpoint import epochs_done

        epochs = epochs_done(run.path / "backup")
        command = devices.resume_command(run.path)
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedTraining(run.path, epochs, command) from error
        if not is_full(error):
            raise
        raise UserError(
            f"The disk is full; {epochs} epochs are kept. Free some space, and "
            f"resume with\n    {command}"
        ) from error


def _fit(
    run: Run,
    model: keras.Model,
    distillation: Distillation | None,
    data: Dataset,
    images: np.ndarray,
    devices: DeviceConfig,
    num_devices: int,
) -> pd.DataFrame:
    from kerafer.datasets.device import fits_on_device, steps_per_call
    from kerafer.datasets.pipeline import Batches, TrainingBatches
    from kerafer.training.fit import fit

    config, targets = run.config, data.targets
    train = data.indices("train")
    if distillation is not None and config.precompute_teachers:
        batches = Batches(images, targets, config.batch_size, train)
        targets = distillation.make_soft_labels(targets, batches)
        distillation = None
    on_device = num_devices == devices.count == 1 and fits_on_device(
        images.nbytes
    )
    return fit(
        model,
        TrainingBatches(
            images,
            targets,
            batch_size=config.batch_size,
            seed=config.seed,
            indices=train,
            share=(devices.index, devices.count),
            num_devices=num_devices,
            yield_indices=on_device,
            steps_per_call=steps_per_call() if on_device else 1,
        ),
        validation=Batches(
            images,
            targets,
            batch_size=config.batch_size,
            indices=data.indices("validation"),
            num_devices=num_devices,
            yield_indices=on_device,
        ),
        labels=data.labels[train],
        config=config,
        folder=run.path,
        distillation=distillation,
    )


def _test(
    run: Run,
    data: Dataset,
    images: np.ndarray,
    history: pd.DataFrame,
    precision: str,
) -> None:
    from kerafer.datasets.pipeline import Batches
    from kerafer.evaluation.predictions import (
        Predictions,
        checked_probabilities,
    )
    from kerafer.models import load_model
    from kerafer.models.save import save_model
    from kerafer.training.calibration import calibrate
    from kerafer.training.run_report import write_run

    config = run.config
    best = run.path / "best.keras"
    uncalibrated = run.path / "backup" / "best.keras"
    changes = config.prior_correction or config.calibrate
    if changes and not uncalibrated.exists():
        # A run that is resumed from here must not be calibrated twice.
        with atomic_write(uncalibrated) as part:
            shutil.copyfile(best, part)
    model = load_model(uncalibrated if changes else best)

    def batches(part: str) -> Batches:
        return Batches(
            images, data.targets, config.batch_size, data.indices(part)
        )

    calibration = calibrate(
        model,
        config,
        batches("validation"),
        prior=data.targets[data.indices("train")].mean(axis=0),
        has_votes=data.has_shares,
    )
    if changes:
        save_model(model, best)
    probabilities = model.predict(batches("test"), verbose=0)
    test = data.manifest.iloc[data.indices("test")]
    predictions = Predictions(
        test["path"].to_numpy(),
        data.labels[data.indices("test")],
        checked_probabilities(probabilities, str(best)),
        data.class_names,
        test["subject"].to_numpy(object) if data.has_subjects else None,
    )
    predictions.write(run.path / "predictions.csv")
    write_run(
        run,
        precision,
        model=model,
        data=data,
        history=history,
        predictions=predictions,
        calibration=calibration,
    )
