"""The channel part of CBAM, which wCA is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    boolean,
    positive_int,
    reduced_channels,
)
from kerafer.layers.gate import Gate


@keras.saving.register_keras_serializable(package="kerafer")
class ChannelAttention(Gate):
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

    pools: tuple[str, ...] = ("max", "average")

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
            data_format=data_format,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
        self.ratio = positive_int("ratio", ratio)
        self.shared = boolean("shared", shared)
        self.activation = keras.activations.get(activation)
        self.use_bias = boolean("use_bias", use_bias)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        reduced = reduced_channels(channels, self.ratio)
        self.reduce_kernels, self.expand_kernels = [], []
        self.reduce_biases, self.expand_biases = [], []
        # The pools that each set of weights serves.
        for name in ["_".join(self.pools)] if self.shared else self.pools:
            self.reduce_kernels.append(
                self._kernel(f"reduce_{name}", (channels, reduced))
            )
            self.expand_kernels.append(
                self._kernel(f"expand_{name}", (reduced, channels))
            )
            if self.use_bias:
                self.reduce_biases.append(
                    self._bias(f"reduce_bias_{name}", reduced)
                )
                self.expand_biases.append(
                    self._bias(f"expand_bias_{name}", channels)
                )

    def gate(self, inputs: Any) -> Any:
        branches = [
            self._branch(
                self._pooled(inputs, pool), 0 if self.shared else index
            )
            for index, pool in enumerate(self.pools)
        ]
        return ops.sigmoid(sum(branches))

    def _branch(self, values: Any, index: int) -> Any:
        """`W2 . relu(W1 . values)` with one set of weights."""
        values = ops.matmul(values, self.reduce_kernels[index])
        if self.use_bias:
            values = values + self.reduce_biases[index]
        values = self.activation(values)
        values = ops.matmul(values, self.expand_kernels[index])
        if self.use_bias:
            values = values + self.expand_biases[index]
        return values

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "shared": self.shared,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
