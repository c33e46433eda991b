"""DDAMFN's head: a map of which rows and which columns matter."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, positive_int
from kerafer.layers.coordinate_attention import LEAST_CHANNELS
from kerafer.layers.gate import Gate


@keras.saving.register_keras_serializable(package="kerafer")
class DualDirectionHead(Gate):
    """A map from 0 to 1, the product of a weight a row and one a column.

        rows[i] = norm(sum over j of row_pool[j] * inputs[i, j])
        columns[j] = norm(sum over i of column_pool[i] * inputs[i, j])
        hidden = hard_swish(norm(W . [rows, columns] + b))
        output = sigmoid(W_r . hidden rows + b_r)
                 * sigmoid(W_c . hidden columns + b_c)

    `CoordinateAttention` with two differences: the means over a row and a
    column are depthwise convolutions as long as these, each with a BatchNorm
    of its own, so that every channel learns where to look; and the output is
    the map alone, which several heads may vote on before it weighs the
    features. `W` reduces the channels to `max(8, channels // ratio)`.

    Args:
        ratio: Divides the channels. Defaults to 32.
        momentum: Of the three BatchNorms. Defaults to 0.9.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of the five kernels. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of the five kernels. Default to
            none.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`, all but the
        batch defined: they are the kernels' sizes.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1, or an undefined height, width or
            number of channels.

    Example:
        >>> features = keras.random.uniform((1, 7, 7, 512))
        >>> DualDirectionHead()(features).shape
        (1, 7, 7, 512)

    Reference:
        Zhang et al., "A Dual-Direction Attention Mixed Feature Network for
        Facial Expression Recognition", Electronics 12(17), 3595 (2023).
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
        self.row_norm, self.column_norm, self.norm = (
            keras.layers.BatchNormalization(
                momentum=momentum,
                epsilon=1e-5,
                dtype=self.gate_dtype,
                name=name,
            )
            for name in ("row_norm", "column_norm", "norm")
        )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        first = 1 if self.data_format == "channels_last" else 2
        height, width = sizes = input_shape[first : first + 2]
        if None in sizes:
            raise ValueError(
                "Height and width must be defined before a head is built. "
                f"Received: height={height}, width={width}"
            )
        reduced = max(LEAST_CHANNELS, channels // self.ratio)
        self.row_pool_kernel = self._kernel("row_pool", (width, channels))
        self.column_pool_kernel = self._kernel(
            "column_pool", (height, channels)
        )
        self.reduce_kernel = self._kernel("reduce", (channels, reduced))
        self.reduce_bias = self._bias("reduce_bias", reduced)
        self.row_kernel = self._kernel("expand_rows", (reduced, channels))
        self.row_bias = self._bias("expand_rows_bias", channels)
        self.column_kernel = self._kernel("expand_columns", (reduced, channels))
        self.column_bias = self._bias("expand_columns_bias", channels)
        self.row_norm.build((None, height, channels))
        self.column_norm.build((None, width, channels))
        self.norm.build((None, height + width, reduced))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        height = inputs.shape[1]
        values = ops.cast(inputs, self.gate_dtype)
        rows = ops.sum(values * self.row_pool_kernel, axis=2)
        columns = ops.sum(values * self.column_pool_kernel[:, None], axis=1)
        both = ops.concatenate(
            [
                self.row_norm(rows, training=training),
                self.column_norm(columns, training=training),
            ],
            axis=1,
        )
        both = ops.matmul(both, self.reduce_kernel) + self.reduce_bias
        both = ops.hard_swish(self.norm(both, training=training))
        rows = ops.sigmoid(
            ops.matmul(both[:, :height], self.row_kernel) + self.row_bias
        )
        columns = ops.sigmoid(
            ops.matmul(both[:, height:], self.column_kernel) + self.column_bias
        )
        outputs = ops.cast(rows[:, :, None] * columns[:, None], inputs.dtype)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "momentum": self.momentum,
        }
