"""Coordinate attention: which rows and which columns matter."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, positive_int
from kerafer.layers.gate import Gate

# However few channels the ratio would leave.
LEAST_CHANNELS = 8


@keras.saving.register_keras_serializable(package="kerafer")
class CoordinateAttention(Gate):
    """Coordinate attention: a weight for each row and for each column.

        rows, columns = mean over the width, mean over the height
        hidden = hard_swish(norm(W . [rows, columns] + b))
        output = inputs * sigmoid(W_r . hidden rows + b_r)
                        * sigmoid(W_c . hidden columns + b_c)

    `W` is shared by rows and columns and reduces the channels to
    `max(8, channels // ratio)`; the BatchNorm sees rows and columns together.
    Every channel has rows and columns of its own.

    Args:
        ratio: Divides the channels. Defaults to 32.
        momentum: Of the BatchNorm. Defaults to 0.9.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of the three kernels. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of the three kernels. Default to
            none.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1 or an undefined number of channels.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> CoordinateAttention()(features).shape
        (1, 27, 27, 192)

    Reference:
        Hou et al., "Coordinate Attention for Efficient Mobile Network Design",
        CVPR 2021.
    """

    def __init__(
        self,
        ratio: int = 32,
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
        self.ratio = positive_int("ratio", ratio)
        self.momentum = momentum
        self.norm = keras.layers.BatchNormalization(
            momentum=momentum, epsilon=1e-5, dtype=self.gate_dtype, name="norm"
        )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        reduced = max(LEAST_CHANNELS, channels // self.ratio)
        self.reduce_kernel = self._kernel("reduce", (channels, reduced))
        self.reduce_bias = self._bias("reduce_bias", reduced)
        self.row_kernel = self._kernel("expand_rows", (reduced, channels))
        self.row_bias = self._bias("expand_rows_bias", channels)
        self.column_kernel = self._kernel("expand_columns", (reduced, channels))
        self.column_bias = self._bias("expand_columns_bias", channels)
        self.norm.build((None, None, reduced))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        height = ops.shape(inputs)[1]
        values = ops.cast(inputs, self.gate_dtype)
        both = ops.concatenate(
            [ops.mean(values, axis=2), ops.mean(values, axis=1)], axis=1
        )
        both = ops.matmul(both, self.reduce_kernel) + self.reduce_bias
        both = ops.hard_swish(self.norm(both, training=training))
        rows = ops.sigmoid(
            ops.matmul(both[:, :height], self.row_kernel) + self.row_bias
        )
        columns = ops.sigmoid(
            ops.matmul(both[:, height:], self.column_kernel) + self.column_bias
        )
        outputs = (
            inputs
            * ops.cast(rows, inputs.dtype)[:, :, None]
            * ops.cast(columns, inputs.dtype)[:, None]
        )
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "momentum": self.momentum,
        }
