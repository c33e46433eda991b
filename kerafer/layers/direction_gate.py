"""What the attentions to rows and columns have in common."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, positive_int
from kerafer.layers.gate import Gate

# However few channels the ratio would leave.
_LEAST_CHANNELS = 8


class DirectionGate(Gate):
    """Weighs rows and columns by what was pooled of each.

        hidden = hard_swish(norm(W . [rows, columns] + b))
        row weights = sigmoid(W_r . hidden rows + b_r)
        column weights = sigmoid(W_c . hidden columns + b_c)

    `W` reduces the channels to `max(8, channels // ratio)`. A subclass has
    `pools` and `outputs`, and the BatchNorm `norm`, made by `_norm` behind
    those it has of its own: files keep the weights in this order.

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

    def _norm(self, name: str) -> keras.layers.BatchNormalization:
        return keras.layers.BatchNormalization(
            momentum=self.momentum,
            epsilon=1e-5,
            dtype=self.gate_dtype,
            name=name,
        )

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
        """One value a row, and one a column: `(batch, length, channels)`.

        Args:
            values: Of shape `(batch, height, width, channels)`, in float32 or
                more.
            training: As for `call`.
        """
        raise NotImplementedError

    def outputs(self, inputs: Any, rows: Any, columns: Any) -> Any:
        """What the layer returns.

        Args:
            inputs: Of shape `(batch, height, width, channels)`.
            rows: Weights from 0 to 1, `(batch, height, 1, channels)`.
            columns: Likewise, `(batch, 1, width, channels)`.
        """
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # TensorFlow's processor kernels know channels_last alone.
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
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
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "momentum": self.momentum,
        }
