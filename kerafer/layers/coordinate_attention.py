"""Coordinate attention: which rows and which columns matter."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.direction_gate import DirectionGate


@keras.saving.register_keras_serializable(package="kerafer")
class CoordinateAttention(DirectionGate):
    """Weigh each row and each column of each channel.

        rows, columns = mean over the width, mean over the height
        hidden = hard_swish(norm(W . [rows, columns] + b))
        output = inputs * sigmoid(W_r . hidden rows + b_r)
                        * sigmoid(W_c . hidden columns + b_c)

    Rows and columns share `W`, which reduces the channels to
    `max(8, channels // ratio)`, and the statistics of the BatchNorm.

    Args:
        ratio: Divides the channels. Default: 32.
        momentum: Of the BatchNorm. Default: 0.9.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the ratio is below 1 or the number of channels is
            undefined.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(CoordinateAttention()(features))
        (1, 27, 27, 192)

    Reference:
        Hou et al., "Coordinate Attention for Efficient Mobile Network Design",
        CVPR 2021.
    """

    def __init__(
        self, ratio: int = 32, momentum: float = 0.9, **kwargs: Any
    ) -> None:
        super().__init__(ratio, momentum, **kwargs)
        self.norm = self._norm("norm")

    def pools(self, values: Any, training: bool | None) -> tuple[Any, Any]:
        return ops.mean(values, axis=2), ops.mean(values, axis=1)

    def outputs(self, inputs: Any, rows: Any, columns: Any) -> Any:
        rows, columns = (ops.cast(x, inputs.dtype) for x in (rows, columns))
        return inputs * rows * columns
