"""What all attention layers have in common."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    defined_channels,
    image_data_format,
)


class Gate(keras.layers.Layer):
    """Weighs its input with numbers between 0 and 1 that it makes of it.

    A subclass has `gate(inputs)`, the weight of every channel, or a `call` of
    its own.

    Args:
        data_format: `"channels_last"`, `"channels_first"`, or `None` for
            Keras' setting.
        kernel_initializer, kernel_regularizer, kernel_constraint: Of all that
            `_kernel` makes.
    """

    def __init__(
        self,
        data_format: str | None,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = image_data_format(data_format)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        # A gate is small beside its features: float32 costs little there.
        self.gate_dtype = keras.backend.result_type(
            self.compute_dtype, "float32"
        )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, input_shape: Shape) -> int:
        return defined_channels(input_shape[self._channel_axis])

    def _kernel(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        initializer = self.kernel_initializer
        # One initialiser object used twice draws the same numbers twice.
        if isinstance(initializer, keras.initializers.Initializer):
            initializer = initializer.clone()
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )

    def _bias(self, name: str, length: int) -> keras.Variable:
        return self.add_weight(
            name=name, shape=(length,), initializer="zeros", autocast=False
        )

    def _pooled(self, inputs: Any, pool: str) -> Any:
        """The `"max"` or `"average"` of each channel: `(batch, channels)`."""
        axes = (1, 2) if self._channel_axis == -1 else (2, 3)
        # Sums of thousands of half-precision numbers lose their tail.
        values = ops.cast(inputs, self.gate_dtype)
        return {"max": ops.max, "average": ops.mean}[pool](values, axis=axes)

    def gate(self, inputs: Any) -> Any:
        """The weight of every channel: shape `(batch, channels)`, 0 to 1."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        gate = ops.cast(self.gate(inputs), inputs.dtype)
        shape = [-1, 1, 1, 1]
        shape[self._channel_axis] = inputs.shape[self._channel_axis]
        return inputs * ops.reshape(gate, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
            "kernel_constraint": keras.constraints.serialize(
                self.kernel_constraint
            ),
        }
