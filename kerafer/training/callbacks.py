"""Callbacks of a training that can be resumed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from kerafer.datasets.pipeline import TrainingBatches
from kerafer.files import write_text
from kerafer.models.graph import in_float32
from kerafer.models.save import save_model


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stop as Keras does, counting the epochs before a resumption.

    Args:
        patience: Epochs without improvement of the validation loss.
        min_delta: Smallest decrease that counts as improvement.
        past: Validation losses of earlier epochs.
    """

    def __init__(
        self, patience: int, min_delta: float, past: Iterable[float] = ()
    ) -> None:
        super().__init__(
            monitor="val_loss", patience=patience, min_delta=min_delta
        )
        self.past = tuple(past)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        # Otherwise nothing is better than a first loss of NaN.
        self.best = math.inf
        for epoch, loss in enumerate(self.past):
            self.on_epoch_end(epoch, {"val_loss": loss})


class BestModel(keras.callbacks.Callback):
    """Keep the weights of the lowest validation loss.

    They stay in memory until `save`, because writing takes longer than a
    short epoch. The file has a float32 model, whatever the precision.

    Args:
        student: The model, which the trained one contains.
        file: A `.keras` file.
        lowest: Lowest validation loss of earlier epochs. NaN means none.
    """

    def __init__(
        self, student: keras.Model, file: Path, lowest: float = math.nan
    ) -> None:
        super().__init__()
        self.student = student
        self.written = in_float32(student)
        self.file = file
        self.lowest = math.inf if math.isnan(lowest) else lowest
        self.weights: list[np.ndarray] | None = None

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {})["loss"]
        if loss < self.lowest:
            self.lowest = loss
            self.weights = self.student.get_weights()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.save()

    def save(self) -> None:
        """Write the file if it is out of date."""
        if self.weights is None:
            return
        current = self.written.get_weights()
        self.written.set_weights(self.weights)
        save_model(self.written, self.file)
        self.written.set_weights(current)
        self.weights = None


class History(keras.callbacks.Callback):
    """Write the logs of every epoch to a CSV file.

    Args:
        file: The CSV file.
        past: Its rows from before a resumption.
    """

    def __init__(self, file: Path, past: pd.DataFrame) -> None:
        super().__init__()
        self.file = file
        self.table = past

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        values = {name: float(x) for name, x in sorted((logs or {}).items())}
        row = pd.DataFrame([{"epoch": epoch} | values])
        past = [self.table] if epoch else []
        self.table = pd.concat([*past, row], ignore_index=True)
        write_text(self.file, self.table.to_csv(index=False))


class EpochSeeds(keras.callbacks.Callback):
    """Make an epoch depend on the seed and its number alone.

    Every epoch shuffles the images and seeds all generators of the model, such
    as those of `Dropout`, so that a resumed training equals an uninterrupted
    one.

    Args:
        batches: The training batches.
    """

    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self.batches.set_epoch(epoch)
        states = [
            variable
            for variable in self.model.non_trainable_variables
            if variable.name == "seed_generator_state"
        ]
        for number, state in enumerate(states):
            key = np.random.SeedSequence((self.batches.seed, epoch, number))
            # 31 bits fit every backend's type.
            state.assign((key.generate_state(2) >> 1).astype(state.dtype))
        if keras.backend.backend() == "torch":
            import torch

            # Keras' Dropout uses PyTorch's global generator.
            key = np.random.SeedSequence((self.batches.seed, epoch))
            torch.manual_seed(int(key.generate_state(1)[0]))
