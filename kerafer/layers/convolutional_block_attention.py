"""CBAM: which channels matter, and then which places."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, boolean, odd_int
from kerafer.layers.channel_attention import ChannelAttention
from kerafer.layers.gate import Gate


@keras.saving.register_keras_serializable(package="kerafer")
class ConvolutionalBlockAttention(Gate):
    """Convolutional block attention (CBAM): channels first, then places.

        x = ChannelAttention(inputs)
        output = x * sigmoid(convolution([max of x, mean of x]))

    Maximum and mean are over the channels of each place; the convolution makes
    one map of the two, padded with zeros to their size, without bias.

    Args:
        ratio: Divides the channels. Defaults to 4, as in the wavelet
            attentions; Woo et al. have 16.
        kernel_size: Of the convolution, odd. Defaults to 7.
        use_bias: Whether the channel part has biases. Defaults to `False`.
        use_norm: Whether a BatchNorm stands between the convolution and its
            sigmoid, as in the authors' program and not in their article.
            Defaults to `False`.
        momentum: Of the BatchNorm. Defaults to 0.9.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of all kernels. Defaults to `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of all kernels. Default to none.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1, channels that it does not divide, an
            undefined number of channels, or a kernel size that is even or
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
        self.kernel_size = odd_int("kernel_size", kernel_size)
        self.use_norm = boolean("use_norm", use_norm)
        self.momentum = momentum
        self.channel = ChannelAttention(
            ratio=ratio,
            use_bias=use_bias,
            data_format="channels_last",
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            dtype=self.dtype_policy,
            name="channel",
        )
        self.norm = None
        if use_norm:
            self.norm = keras.layers.BatchNormalization(
                momentum=momentum,
                epsilon=1e-5,
                dtype=self.gate_dtype,
                name="norm",
            )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        self.channel.build((None, None, None, channels))
        self.kernel = self._kernel("kernel", (self.kernel_size,) * 2 + (2, 1))
        if self.norm is not None:
            self.norm.build((None, None, None, 1))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # TensorFlow's processor kernels know channels_last alone.
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        outputs = self.channel(inputs)
        values = ops.cast(outputs, self.gate_dtype)
        logits = ops.conv(
            ops.concatenate(
                [
                    ops.max(values, axis=-1, keepdims=True),
                    ops.mean(values, axis=-1, keepdims=True),
                ],
                axis=-1,
            ),
            self.kernel,
            padding="same",
            data_format="channels_last",
        )
        if self.norm is not None:
            logits = self.norm(logits, training=training)
        outputs = outputs * ops.cast(ops.sigmoid(logits), outputs.dtype)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.channel.ratio,
            "kernel_size": self.kernel_size,
            "use_bias": self.channel.use_bias,
            "use_norm": self.use_norm,
            "momentum": self.momentum,
        }
