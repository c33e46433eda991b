"""The channel attention of CBAM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kerafer.layers.arguments import boolean, get_settings, set_objects
from kerafer.layers.gate import BottleneckGate


@keras.saving.register_keras_serializable(package="kerafer")
class ChannelAttention(BottleneckGate):
    """Weigh channels by their maximum and average (CBAM's channel attention).

        branch(p) = W2 . relu(W1 . p)
        output = inputs * sigmoid(branch(max pool) + branch(average pool))

    Both pools are global. W1 reduces the channels by `ratio`, W2 restores
    them. `WaveletChannelAttention` is the same with a wavelet instead of ReLU.

    Args:
        ratio: Divides the channels. Default: 4, as in the wavelet attentions;
            Woo et al. use 16.
        shared: Whether both branches use the same W1 and W2. Default: `True`,
            as in Woo et al.
        activation: Between W1 and W2. Default: `"relu"`.
        use_bias: Whether biases are added after W1 and W2. Default: `False`.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the ratio is below 1 or does not divide the channels, or
            the number of channels is undefined.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(ChannelAttention(ratio=16)(features))
        (1, 27, 27, 192)

    Reference:
        Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018,
        equation 2.
    """

    def __init__(
        self,
        ratio: int = 4,
        shared: bool = True,
        activation: str | Callable | None = "relu",
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(ratio, shared, **kwargs)
        set_objects(self, activation=activation)
        self.use_bias = boolean("use_bias", use_bias)
        self.reduce_biases: list[keras.Variable] = []
        self.expand_biases: list[keras.Variable] = []

    def _build_branch(self, index: int, reduced: int, channels: int) -> None:
        if self.use_bias:
            name = self._served[index]
            self.reduce_biases.append(
                self._bias(f"reduce_bias_{name}", reduced)
            )
            self.expand_biases.append(
                self._bias(f"expand_bias_{name}", channels)
            )

    def _activate(self, values: Any, pool: int) -> Any:
        if self.use_bias:
            values = values + self.reduce_biases[self._set_of(pool)]
        return self.activation(values)

    def _branch(self, values: Any, pool: int) -> Any:
        values = super()._branch(values, pool)
        if self.use_bias:
            values = values + self.expand_biases[self._set_of(pool)]
        return values

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self, "activation", "use_bias"
        )
