"""What happens around the epochs of a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerafer.datasets.pipeline import TrainingBatches
from kerafer.models.graph import in_float32
from kerafer.models.load import load_model
from kerafer.models.save import save_model


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping, which remembers the epochs before a resumption.

    Args:
        patience: Epochs without a better validation loss.
        min_delta: Least change that counts as better.
        past: Validation losses of the epochs before. Defaults to none.
        best: File with the best model of those epochs.
    """

    def __init__(
        self,
        patience: int,
        min_delta: float,
        past: tuple[float, ...] = (),
        best: Path | None = None,
    ) -> None:
        super().__init__(
            monitor="val_loss",
            patience=patience,
            min_delta=min_delta,
            restore_best_weights=True,
        )
        self.past = past
        self.best_file = best

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Count the epochs that were trained before this `fit`."""
        super().on_train_begin(logs)
        # Without a bound, a first loss of NaN would never be beaten.
        self.best = math.inf
        self.restore_best_weights = False
        for epoch, loss in enumerate(self.past):
            super().on_epoch_end(epoch, {"val_loss": loss})
        self.restore_best_weights = True
        if self.past and self.best_file is not None:
            self.best_weights = load_model(self.best_file).get_weights()


class BestModel(keras.callbacks.ModelCheckpoint):
    """Keeps the model of the lowest validation loss as one whole file.

    It computes in float32 there, whatever it is trained in. The weights are
    kept in memory until `write` is called or the training ends: where epochs
    are short, writing takes longer than they do.

    Args:
        kept: The model.
        file: A `.keras` file.
        lowest: Validation loss that counts as reached already, of the epochs
            before a resumption. NaN, the lowest of none, counts as none.
    """

    def __init__(self, kept: keras.Model, file: Path, lowest: float) -> None:
        self.kept = kept
        self.written = in_float32(kept)
        self.waiting: list[Any] | None = None
        super().__init__(
            str(file),
            monitor="val_loss",
            save_best_only=True,
            # Without a bound, a first loss of NaN would never be beaten.
            initial_value_threshold=math.inf if math.isnan(lowest) else lowest,
        )

    def _save_model(
        self, epoch: int, batch: int | None, logs: dict[str, Any]
    ) -> None:
        if self._should_save_model(epoch, batch, logs, self.filepath):
            self.waiting = self.kept.get_weights()

    def write(self) -> None:
        """Bring the file up to date."""
        if self.waiting is None:
            return
        if self.written is self.kept:
            current = self.kept.get_weights()
            self.kept.set_weights(self.waiting)
            save_model(self.kept, self.filepath)
            self.kept.set_weights(current)
        else:
            self.written.set_weights(self.waiting)
            save_model(self.written, self.filepath)
        self.waiting = None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write what is not written yet."""
        super().on_train_end(logs)
        self.write()


class EmaWeights(keras.callbacks.SwapEMAWeights):
    """Keras' swapping of the averaged weights, which survives a resumption.

    Validation, and every callback behind this one at the end of an epoch, see
    the average; the next epoch goes on with the weights themselves. The state
    that is kept at the end of an epoch therefore has them swapped.

    Args:
        resumed: Whether a kept state is restored before the first epoch.
    """

    def __init__(self, resumed: bool) -> None:
        super().__init__(swap_on_epoch=True)
        self.resumed = resumed

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Remember which weights a restored state has in the model."""
        super().on_train_begin(logs)
        self._ema_weights_in_model = self.resumed


class EpochOrder(keras.callbacks.Callback):
    """Makes an epoch depend on the run's seed and its number alone.

    The images are shuffled for it, and every generator of random numbers in
    the model, that of a `Dropout` among them, begins anew with a seed of the
    epoch's. So a resumed run is the unbroken one. On PyTorch that is also the
    process's own generator, of which Keras' `Dropout` draws there;
    `kerafer.training.scope` takes it back.

    Args:
        batches: The training batches.
    """

    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Set the epoch."""
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

            key = np.random.SeedSequence((self.batches.seed, epoch))
            torch.manual_seed(int(key.generate_state(1)[0]))


class TensorBoard(keras.callbacks.Callback):
    """Writes what Keras' callback of that name does, without TensorFlow.

    Args:
        folder: For `train/` and `validation/`, whose `epoch_<name>` belong
            together.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.writers: dict[str, Any] = {}

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Write an epoch's numbers."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import (
            EventFileWriter,
        )

        values: dict[str, list[Any]] = {}
        for name, number in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            value = Summary.Value(
                tag=f"epoch_{name.removeprefix('val_')}",
                simple_value=float(number),
            )
            values.setdefault(part, []).append(value)
        for part, told in values.items():
            if part not in self.writers:
                self.writers[part] = EventFileWriter(str(self.folder / part))
            event = Event(step=epoch, summary=Summary(value=told))
            self.writers[part].add_event(event)
            self.writers[part].flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files."""
        for writer in self.writers.values():
            writer.close()
