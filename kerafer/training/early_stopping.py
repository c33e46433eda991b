"""Early stopping that survives a resumption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras

from kerafer.models.load import load_model


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
        if self.past:
            self.best_weights = load_model(self.best_file).get_weights()
