"""Coordinate attention: which rows and which columns matter."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.direction_gate import DirectionGate


@keras.saving.register_keras_serializable(package="kerafer")
class CoordinateAttention(DirectionGate):
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
        >>> keras.ops.shape(CoordinateAttention()(features))
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
            ratio=ratio,
            momentum=momentum,
            data_format=data_format,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
        self.norm = self._norm("norm")

    def pools(self, values: Any, training: bool | None) -> tuple[Any, Any]:
        return ops.mean(values, axis=2), ops.mean(values, axis=1)

    def outputs(self, inputs: Any, rows: Any, columns: Any) -> Any:
        rows, columns = (ops.cast(x, inputs.dtype) for x in (rows, columns))
        return inputs * rows * columns
