"""Base class of the attentions to rows and columns."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, get_settings, positive_int
from kerafer.layers.gate import Gate

# However few channels the ratio would leave.
_LEAST_CHANNELS = 8


class DirectionGate(Gate):
    """Compute a weight for each row and each column from their pools.

        hidden = hard_swish(norm(W . [rows, columns] + b))
        row weights = sigmoid(W_r . hidden rows + b_r)
        column weights = sigmoid(W_c . hidden columns + b_c)

    `W` reduces the channels to `max(8, channels // ratio)`. A subclass defines
    `pools` and `outputs`, and makes the BatchNorm `norm` with `_norm` after
    its own: files store the weights in this order.

    Args:
        ratio: Divides the channels.
        momentum: Of the BatchNorms.
        **kwargs: Those of `Gate`.
    """

    norm: keras.layers.BatchNormalization

    def __init__(self, ratio: int, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ratio = positive_int("ratio", ratio)
        self.momentum = momentum

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        reduced = max(_LEAST_CHANNELS, channels // self.ratio)
        self.reduce_kernel = self._kernel("reduce", (channels, reduced))
        self.reduce_bias = self._bias("reduce_bias", reduced)
        self.row_kernel = self._kernel("expand_rows", (reduced, channels))
        self.row_bias = self._bias("expand_rows_bias", channels)
        self.column_kernel = self._kernel("expand_columns", (reduced, channels))
        self.column_bias = self._bias("expand_columns_bias", channels)
        self.norm.build((None, None, reduced))

    def pools(self, values: Any, training: bool | None) -> tuple[Any, Any]:
        """Return one value for each row, and one for each column.

        Args:
            values: Of shape `(batch, height, width, channels)`, in float32 or
                more.
            training: As for `call`.

        Returns:
            Two tensors of shape `(batch, length, channels)`.
        """
        raise NotImplementedError

    def outputs(self, inputs: Any, rows: Any, columns: Any) -> Any:
        """Return the output of the layer.

        Args:
            inputs: Of shape `(batch, height, width, channels)`.
            rows: Weights from 0 to 1, `(batch, height, 1, channels)`.
            columns: Weights from 0 to 1, `(batch, 1, width, channels)`.
        """
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        inputs = self._channels_last(inputs)
        values = ops.cast(inputs, self.gate_dtype)
        rows, columns = self.pools(values, training)
        height = ops.shape(rows)[1]
        # Together, for the statistics of BatchNorm.
        both = ops.concatenate([rows, columns], axis=1)
        both = ops.matmul(both, self.reduce_kernel) + self.reduce_bias
        both = ops.hard_swish(self.norm(both, training=training))
        rows = ops.sigmoid(
            ops.matmul(both[:, :height], self.row_kernel) + self.row_bias
        )
        columns = ops.sigmoid(
            ops.matmul(both[:, height:], self.column_kernel) + self.column_bias
        )
        outputs = self.outputs(inputs, rows[:, :, None], columns[:, None])
        return self._restored(outputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(self, "ratio", "momentum")
