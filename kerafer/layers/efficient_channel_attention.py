"""ECA, a channel attention with a handful of parameters."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, odd_int
from kerafer.layers.gate import Gate


@keras.saving.register_keras_serializable(package="kerafer")
class EfficientChannelAttention(Gate):
    """Weigh channels by a convolution over their averages (ECA).

        output = inputs * sigmoid(convolution(average pool))

    The convolution runs over the channels in their order, with zeros at both
    ends and without bias. Its `kernel_size` numbers are the only parameters.

    Args:
        kernel_size: An odd number of neighbouring channels. Default:
            `(log2(channels) + 1) / 2` rounded down, plus 1 if that is even: 3
            for 64 channels, 5 for 192.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the kernel size is even or below 1, or the number of
            channels is undefined.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(EfficientChannelAttention()(features))
        (1, 27, 27, 192)

    Reference:
        Wang et al., "ECA-Net: Efficient Channel Attention for Deep
        Convolutional Neural Networks", CVPR 2020; equation 12 with gamma = 2
        and b = 1, rounded as in the authors' program.
    """

    def __init__(self, kernel_size: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kernel_size is not None:
            odd_int("kernel_size", kernel_size)
        self.kernel_size = kernel_size

    def build(self, input_shape: Shape) -> None:
        channels, size = self._channels(input_shape), self.kernel_size
        if size is None:
            size = int((math.log2(channels) + 1) / 2)
            size += 1 - size % 2
        self.kernel = self._kernel("kernel", (size, 1, 1))

    def gate(self, inputs: Any) -> Any:
        pooled = self._pooled(inputs, "average")
        logits = ops.conv(
            ops.expand_dims(pooled, -1),
            self.kernel,
            padding="same",
            data_format="channels_last",
        )
        return ops.sigmoid(ops.squeeze(logits, -1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_size": self.kernel_size}
