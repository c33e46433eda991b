"""The shuffling of the epoch that is about to begin."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.data.pipeline import TrainingBatches


class EpochOrder(keras.callbacks.Callback):
    """Tells the batches which epoch they are shuffled and augmented for.

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
