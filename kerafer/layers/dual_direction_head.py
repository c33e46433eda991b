"""DDAMFN's head: a map of which rows and which columns matter."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape
from kerafer.layers.direction_gate import DirectionGate


@keras.saving.register_keras_serializable(package="kerafer")
class DualDirectionHead(DirectionGate):
    """Compute a map from 0 to 1: a weight per row times one per column.

        rows[i] = norm(sum over j of row_pool[j] * inputs[i, j])
        columns[j] = norm(sum over i of column_pool[i] * inputs[i, j])
        hidden = hard_swish(norm(W . [rows, columns] + b))
        output = sigmoid(W_r . hidden rows + b_r)
                 * sigmoid(W_c . hidden columns + b_c)

    `CoordinateAttention` with two differences. The means over a row and a
    column are depthwise convolutions of that length, each with its own
    BatchNorm, so that each channel learns where to look. The output is the map
    alone, so that several heads can vote before it weighs the features. `W`
    reduces the channels to `max(8, channels // ratio)`.

    Args:
        ratio: Divides the channels. Default: 32.
        momentum: Of the three BatchNorms. Default: 0.9.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`. All but the
        batch must be defined: they are the sizes of the kernels.

    Output shape:
        The input's.

    Raises:
        ValueError: If the ratio is below 1, or the height, width or number of
            channels is undefined.

    Example:
        >>> features = keras.random.uniform((1, 7, 7, 512))
        >>> keras.ops.shape(DualDirectionHead()(features))
        (1, 7, 7, 512)

    Reference:
        Zhang et al., "A Dual-Direction Attention Mixed Feature Network for
        Facial Expression Recognition", Electronics 12(17), 3595 (2023).
    """

    def __init__(
        self, ratio: int = 32, momentum: float = 0.9, **kwargs: Any
    ) -> None:
        super().__init__(ratio, momentum, **kwargs)
        self.row_norm = self._norm("row_norm")
        self.column_norm = self._norm("column_norm")
        self.norm = self._norm("norm")

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        first = 1 if self.data_format == "channels_last" else 2
        height, width = input_shape[first : first + 2]
        if height is None or width is None:
            raise ValueError(
                "Height and width must be defined before a head is built. "
                f"Received: height={height}, width={width}"
            )
        self.row_pool_kernel = self._kernel("row_pool", (width, channels))
        self.column_pool_kernel = self._kernel(
            "column_pool", (height, channels)
        )
        self.row_norm.build((None, height, channels))
        self.column_norm.build((None, width, channels))
        super().build(input_shape)

    def pools(self, values: Any, training: bool | None) -> tuple[Any, Any]:
        rows = ops.sum(values * self.row_pool_kernel, axis=2)
        columns = ops.sum(values * self.column_pool_kernel[:, None], axis=1)
        return (
            self.row_norm(rows, training=training),
            self.column_norm(columns, training=training),
        )

    def outputs(self, inputs: Any, rows: Any, columns: Any) -> Any:
        return ops.cast(rows * columns, inputs.dtype)
