"""The running average of a training's weights."""

from __future__ import annotations

from typing import Any

import keras


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
