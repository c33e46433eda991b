"""CBAM: attention to channels, then to places."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, boolean, get_settings, odd_int
from kerafer.layers.channel_attention import ChannelAttention
from kerafer.layers.gate import Gate


@keras.saving.register_keras_serializable(package="kerafer")
class ConvolutionalBlockAttention(Gate):
    """Weigh channels, then places (convolutional block attention, CBAM).

        x = ChannelAttention(inputs)
        output = x * sigmoid(convolution([max of x, mean of x]))

    Maximum and mean are taken over the channels of each place. The convolution
    makes one map of the two, padded with zeros to their size, without bias.

    Args:
        ratio: Divides the channels. Default: 4, as in the wavelet attentions;
            Woo et al. use 16.
        kernel_size: Of the convolution, odd. Default: 7.
        use_bias: Whether the channel part has biases. Default: `False`.
        use_norm: Whether a BatchNorm follows the convolution, as in the
            authors' program but not in their article. Default: `False`.
        momentum: Of the BatchNorm. Default: 0.9.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the ratio is below 1 or does not divide the channels,
            the number of channels is undefined, or the kernel size is even or
            below 1.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(ConvolutionalBlockAttention(ratio=16)(features))
        (1, 27, 27, 192)

    Reference:
        Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.
    """

    def __init__(
        self,
        ratio: int = 4,
        kernel_size: int = 7,
        use_bias: bool = False,
        use_norm: bool = False,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ratio = ratio
        self.kernel_size = odd_int("kernel_size", kernel_size)
        self.use_bias = use_bias
        self.use_norm = boolean("use_norm", use_norm)
        self.momentum = momentum
        self.channel = ChannelAttention(
            ratio=ratio,
            use_bias=use_bias,
            data_format="channels_last",
            **{k: v for k, v in kwargs.items() if k.startswith("kernel_")},
            dtype=self.dtype_policy,
            name="channel",
        )
        self.norm = self._norm("norm") if use_norm else None

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        self.channel.build((None, None, None, channels))
        self.kernel = self._kernel("kernel", (self.kernel_size,) * 2 + (2, 1))
        if self.norm is not None:
            self.norm.build((None, None, None, 1))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        outputs = self.channel(self._channels_last(inputs))
        values = ops.cast(outputs, self.gate_dtype)
        planes = [
            ops.max(values, axis=-1, keepdims=True),
            ops.mean(values, axis=-1, keepdims=True),
        ]
        logits = ops.conv(
            ops.concatenate(planes, axis=-1),
            self.kernel,
            padding="same",
            data_format="channels_last",
        )
        if self.norm is not None:
            logits = self.norm(logits, training=training)
        outputs = outputs * ops.cast(ops.sigmoid(logits), outputs.dtype)
        return self._restored(outputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self, "ratio", "kernel_size", "use_bias", "use_norm", "momentum"
        )
