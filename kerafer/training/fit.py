"""`model.fit` with everything a training needs around it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight

from kerafer.datasets.pipeline import Batches, TrainingBatches
from kerafer.errors import ConfigError, UserError, first_line
from kerafer.files import write_text
from kerafer.training.augmentation import make_augmentation
from kerafer.training.batch_statistics import BatchStatistics
from kerafer.training.callbacks import (
    BestModel,
    EarlyStopping,
    EmaWeights,
    EpochOrder,
    TensorBoard,
)
from kerafer.training.config import TrainingConfig
from kerafer.training.distillation import Distillation
from kerafer.training.mixing import make_mixing
from kerafer.training.objective import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.progress import EpochProgress
from kerafer.training.run_backup import RunBackup
from kerafer.training.trainer import Trainer

# Of the time, at most this part goes into writing what a run goes on from.
_WRITING = 0.05


def fit(
    model: keras.Model,
    batches: TrainingBatches,
    validation: Batches,
    labels: np.ndarray,
    config: TrainingConfig,
    folder: Path,
    distillation: Distillation | None = None,
) -> pd.DataFrame:
    """Train a model, from the start or from where an earlier call ended.

    The folder gets `best.keras` (lowest validation loss), `history.csv`,
    TensorBoard's logs in `tensorboard/` and, until the run is over, the state
    to resume from in `backup/`. Of these the first and the last are written
    together, after every epoch unless that takes too much of the time.

    Args:
        model: Built, not compiled.
        batches: Training batches.
        validation: Validation batches.
        labels: Class index of every training image, of shape `(images,)`.
        config: How to train.
        folder: The run's folder.
        distillation: Teachers. Defaults to none.

    Returns:
        One row an epoch: losses, metrics, seconds, images a second.

    Raises:
        UserError: If the loss is no number in the first epoch.
    """
    trainer = Trainer(
        model,
        make_objective(config),
        class_weights=class_weights(
            labels, config.class_weights, model.output_shape[-1]
        ),
        distillation=distillation,
        augmentation=make_augmentation(config.augment),
        mixing=make_mixing(config.mix, config.mix_alpha),
        held=batches.images if batches.by_row else None,
    )
    trainer.compile(optimizer=make_optimizer(config, batches.steps))
    # Where the first step makes no weights, it is traced only once.
    trainer.optimizer.build(trainer.trainable_variables)
    # Several processes write a shared model by steps that all take together.
    alone = batches.share[1] == 1
    backup = RunBackup(folder / "backup", _WRITING if alone else 1.0)
    history_file = folder / "history.csv"
    past = _past(history_file, backup.epochs_done)
    best = folder / "best.keras"
    if len(past) and not best.exists():
        raise _no_number(config)
    stopping = EarlyStopping(
        config.patience, config.min_delta, tuple(past["val_loss"]), best
    )
    stopping.set_model(trainer)
    stopping.on_train_begin()
    over = (
        len(past) >= config.epochs
        or stopping.stopped_epoch > 0
        or past["loss"].isna().any()
    )
    logger = keras.callbacks.CSVLogger(history_file, append=bool(len(past)))
    if not over:
        best_model = BestModel(model, best, past["val_loss"].min())
        backup.before = best_model.write
        try:
            trainer.fit(
                batches,
                validation_data=validation,
                epochs=config.epochs,
                shuffle=False,
                verbose=0,
                callbacks=[
                    EpochOrder(batches),
                    EpochProgress(
                        config.epochs,
                        len(batches),
                        batches.steps * batches.batch_size,
                        len(past),
                        past["val_loss"].min(),
                    ),
                    keras.callbacks.TerminateOnNaN(),
                    *(
                        [
                            EmaWeights(bool(len(past))),
                            BatchStatistics(
                                model,
                                batches.unchanged,
                                trainer.augmentation,
                            ),
                        ]
                        if config.ema
                        else []
                    ),
                    best_model,
                    stopping,
                    logger,
                    TensorBoard(folder / "tensorboard"),
                    backup,
                ],
            )
        finally:
            # Keras closes it only after an orderly end.
            if logger.csv_file:
                logger.csv_file.close()
    if not best.exists():
        raise _no_number(config)
    return pd.read_csv(history_file)


def _no_number(config: TrainingConfig) -> UserError:
    return ConfigError(
        "The loss was no number (NaN) before the first epoch was over; there "
        "is no model to go on with.\nTrain anew, in another folder: a lower "
        "`learning_rate` or `precision` float32 may help. Received: "
        f"`learning_rate` {config.learning_rate}."
    )


def class_weights(
    labels: np.ndarray, kind: str, num_classes: int
) -> np.ndarray | None:
    """What an image of each class weighs in the loss.

    Args:
        labels: Class index of every training image.
        kind: `"balanced"`, inversely proportional to how often a class is
            seen, or `"none"`.
        num_classes: How many there are; one that is never seen weighs 1.
    """
    if kind == "none":
        return None
    seen = np.unique(labels)
    weights = np.ones(num_classes, np.float32)
    weights[seen] = compute_class_weight("balanced", classes=seen, y=labels)
    return weights


def _past(file: Path, done: int) -> pd.DataFrame:
    """The rows of the epochs that the state has behind it.

    A kill can leave one row more than that, or half of one.
    """
    if done == 0:
        file.unlink(missing_ok=True)
        return pd.DataFrame({"loss": [], "val_loss": []})
    try:
        text = file.read_text(encoding="utf-8")
        head, *rows = text.splitlines(keepends=True)
        write_text(file, "".join([head, *rows[:done]]))
        past = pd.read_csv(file)
        past[["loss", "val_loss"]].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            "A run goes on with the history.csv of its epochs. "
            f"{file} is damaged: {first_line(error)}."
        ) from None
    if len(past) != done:
        raise UserError(
            f"{file} has a row for each epoch that is over, {done}. It has "
            f"{len(past)}."
        )
    return past
