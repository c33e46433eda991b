"""`model.fit` with the callbacks of a training."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight

from kerafer.datasets.pipeline import Batches, TrainingBatches
from kerafer.errors import ConfigError
from kerafer.files import native_path
from kerafer.training.augmentation import POLICIES, Mixing
from kerafer.training.batch_statistics import BatchStatistics
from kerafer.training.callbacks import (
    BestModel,
    EarlyStopping,
    EpochSeeds,
    History,
)
from kerafer.training.checkpoint import Checkpoint, restore
from kerafer.training.config import TrainingConfig
from kerafer.training.distillation import Distillation
from kerafer.training.losses import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.progress import EpochProgress
from kerafer.training.trainer import Trainer


def fit(
    model: keras.Model,
    batches: TrainingBatches,
    validation: Batches,
    labels: np.ndarray,
    config: TrainingConfig,
    folder: Path,
    distillation: Distillation | None = None,
) -> pd.DataFrame:
    """Train a model, from the start or from the last checkpoint.

    Writes `best.keras` (lowest validation loss), `history.csv`, on TensorFlow
    `tensorboard/`, and the state to resume from in `backup/`.

    Args:
        model: Built, not compiled.
        batches: Training batches.
        validation: Validation batches.
        labels: Class index of every training image, `(images,)`.
        config: The settings.
        folder: The run's folder.
        distillation: Teachers.

    Returns:
        One row per epoch: losses, metrics, seconds, images per second.

    Raises:
        ConfigError: If the loss is NaN in the first epoch.
    """
    trainer = Trainer(
        model,
        make_objective(config),
        class_weights=class_weights(
            labels, config.class_weights, model.output_shape[-1]
        ),
        distillation=distillation,
        augmentation=POLICIES[config.augment],
        mixing=(
            None
            if config.mix == "none"
            else Mixing(config.mix, config.mix_alpha)
        ),
        device_images=batches.images if batches.yield_indices else None,
    )
    trainer.compile(optimizer=make_optimizer(config, batches.steps))
    # With its variables there, the first step is traced only once.
    trainer.optimizer.build(trainer.trainable_variables)
    past = restore(trainer, folder / "backup")
    best = BestModel(model, folder / "best.keras", past["val_loss"].min())
    stopping = EarlyStopping(
        config.patience, config.min_delta, past["val_loss"]
    )
    stopping.set_model(trainer)
    stopping.on_train_begin()
    is_over = (
        len(past) >= config.epochs
        or stopping.stopped_epoch > 0
        or past["loss"].isna().any()
    )
    if is_over:
        return past
    history = History(folder / "history.csv", past)
    images = batches.steps * batches.batch_size
    progress = EpochProgress(config.epochs, len(batches), images, past)
    callbacks = [
        EpochSeeds(batches),
        progress,
        keras.callbacks.TerminateOnNaN(),
        # Before the averaged weights are swapped out.
        best,
        stopping,
        history,
        Checkpoint(
            folder / "backup",
            before=best.save,
            # Processes write a shared model together.
            every_epoch=batches.share[1] > 1,
        ),
    ]
    if config.ema:
        callbacks += [
            keras.callbacks.SwapEMAWeights(),
            BatchStatistics(model, batches.unchanged, trainer.augmentation),
        ]
    logs = folder / "tensorboard"
    if keras.backend.backend() == "tensorflow":
        logs.mkdir(exist_ok=True)
    with progress.bar, native_path(logs) as log_dir:
        if keras.backend.backend() == "tensorflow":
            callbacks.append(
                keras.callbacks.TensorBoard(log_dir, write_graph=False)
            )
        trainer.fit(
            batches,
            validation_data=validation,
            epochs=config.epochs,
            initial_epoch=len(past),
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    if not best.file.exists():
        raise ConfigError(
            "Training diverged: the loss is NaN in the first epoch.\nTry a "
            "lower `learning_rate` or `precision` float32, in another folder. "
            f"Received: `learning_rate` {config.learning_rate}."
        )
    return history.table


def class_weights(
    labels: np.ndarray, kind: str, num_classes: int
) -> np.ndarray | None:
    """Return the weight of an image of each class in the loss.

    Args:
        labels: Class index of every training image.
        kind: `"balanced"`, inversely proportional to the class's frequency,
            or `"none"`.
        num_classes: Number of classes; those without an image weigh 1.
    """
    if kind == "none":
        return None
    seen = np.unique(labels)
    weights = np.ones(num_classes, np.float32)
    weights[seen] = compute_class_weight("balanced", classes=seen, y=labels)
    return weights
