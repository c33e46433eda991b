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

    It computes in float32 there, whatever it is trained in.

    Args:
        kept: The model.
        file: A `.keras` file.
        lowest: Validation loss that counts as reached already, of the epochs
            before a resumption. NaN, the lowest of none, counts as none.
    """

    def __init__(self, kept: keras.Model, file: Path, lowest: float) -> None:
        self.kept = kept
        self.written = in_float32(kept)
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
            if self.written is not self.kept:
                self.written.set_weights(self.kept.get_weights())
            save_model(self.written, self.filepath)
