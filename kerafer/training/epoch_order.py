"""The order and the random numbers of the epoch that is about to begin."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerafer.data.pipeline import TrainingBatches


class EpochOrder(keras.callbacks.Callback):
    """Makes an epoch depend on the run's seed and its number alone.

    The images are shuffled for it, and every generator of random numbers in
    the model, that of a `Dropout` among them, begins anew with a seed of the
    epoch's. So a resumed run is the unbroken one.

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
