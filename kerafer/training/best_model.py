"""The checkpoint of the best epoch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras

from kerafer.models.float32 import in_float32
from kerafer.models.save import save_model


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
