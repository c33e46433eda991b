"""The channel part of CBAM, which wCA is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kerafer.layers.bottleneck_gate import BottleneckGate


@keras.saving.register_keras_serializable(package="kerafer")
class ChannelAttention(BottleneckGate):
    """The channel attention of CBAM.

        branch(p) = W2 . relu(W1 . p)
        output = inputs * sigmoid(branch(max pool) + branch(average pool))

    Both pools are global; W1 reduces the channels by `ratio`, W2 restores
    them. With the same ratio it is `WaveletChannelAttention` with ReLU for the
    wavelet.

    Args:
        ratio: Divides the channels. Defaults to 4, as in the wavelet
            attentions; Woo et al. have 16.
        shared: Whether both branches use the same W1 and W2. Defaults to
            `True`, as Woo et al. have it.
        activation: Between W1 and W2. Defaults to `"relu"`.
        use_bias: Whether biases are added behind W1 and W2. Defaults to
            `False`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of W1 and W2. Defaults to `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of W1 and W2. Default to none.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1, channels that it does not divide, or
            an undefined number of channels.

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
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            pools=("max", "average"),
            ratio=ratio,
            shared=shared,
            activation=activation,
            use_bias=use_bias,
            data_format=data_format,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "shared": self.shared,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
