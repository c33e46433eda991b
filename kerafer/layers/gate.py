"""Base classes of the attention layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    boolean,
    divided,
    fresh,
    get_settings,
    positive_int,
    set_objects,
)
from kerafer.layers.image_layer import ImageLayer


class Gate(ImageLayer):
    """Multiply features by weights between 0 and 1 computed from them.

    A subclass defines `gate(inputs)`, the weight of each channel, or its own
    `call`.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Default: the
            setting of Keras.
        kernel_initializer: Of all kernels. Default: `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of all kernels. Default: none.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the number of channels is undefined.
    """

    def __init__(
        self,
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        set_objects(
            self,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
        )
        # Gates are small compared to the features, so float32 costs little.
        self.gate_dtype = keras.backend.result_type(
            self.compute_dtype, "float32"
        )

    def _kernel(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=fresh(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )

    def _bias(self, name: str, length: int) -> keras.Variable:
        return self.add_weight(
            name=name, shape=(length,), initializer="zeros", autocast=False
        )

    def _norm(self, name: str) -> keras.layers.BatchNormalization:
        return keras.layers.BatchNormalization(
            momentum=self.momentum,
            epsilon=1e-5,
            dtype=self.gate_dtype,
            name=name,
        )

    def _pooled(self, inputs: Any, pool: str) -> Any:
        """The `"max"` or `"average"` of each channel: `(batch, channels)`."""
        axes = (1, 2) if self._channel_axis == -1 else (2, 3)
        # Sums of thousands of half-precision numbers lose their tail.
        values = ops.cast(inputs, self.gate_dtype)
        return {"max": ops.max, "average": ops.mean}[pool](values, axis=axes)

    def gate(self, inputs: Any) -> Any:
        """Return the weight of each channel: `(batch, channels)`, 0 to 1."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        gate = ops.cast(self.gate(inputs), inputs.dtype)
        shape = [-1, 1, 1, 1]
        shape[self._channel_axis] = inputs.shape[self._channel_axis]
        return inputs * ops.reshape(gate, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self,
            "kernel_initializer",
            "kernel_regularizer",
            "kernel_constraint",
        )


class BottleneckGate(Gate):
    """Weigh channels by what two dense layers make of their global pools.

        branch(p) = W2 . activation(W1 . p)
        output = inputs * sigmoid(sum over pools of branch(pool))

    A subclass defines `_activate`, and `pools` if it uses one pool only.

    Args:
        ratio: W1 divides the channels by it.
        shared: Whether all pools use the same weights.
        **kwargs: Those of `Gate`.

    Raises:
        ValueError: If the ratio is below 1 or does not divide the channels.
    """

    pools: tuple[str, ...] = ("max", "average")

    def __init__(self, ratio: int, shared: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ratio = positive_int("ratio", ratio)
        self.shared = boolean("shared", shared)
        # The pools of each set of weights.
        self._served = ["_".join(self.pools)] if shared else list(self.pools)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        reduced = divided("ratio", self.ratio, "channels", channels)
        self.reduce_kernels, self.expand_kernels = [], []
        for index, name in enumerate(self._served):
            self.reduce_kernels.append(
                self._kernel(
                    f"reduce_{name}", (self._pooled_values(channels), reduced)
                )
            )
            self.expand_kernels.append(
                self._kernel(f"expand_{name}", (reduced, channels))
            )
            self._build_branch(index, reduced, channels)

    def _pooled_values(self, channels: int) -> int:
        """The length of the input of W1."""
        return channels

    def _build_branch(self, index: int, reduced: int, channels: int) -> None:
        """Make the other weights of a set."""

    def gate(self, inputs: Any) -> Any:
        return ops.sigmoid(sum(self._branches(inputs)))

    def _branches(self, inputs: Any) -> list[Any]:
        return [
            self._branch(self._pooled(inputs, pool), index)
            for index, pool in enumerate(self.pools)
        ]

    def _set_of(self, pool: int) -> int:
        """The index of the set of weights that a pool uses."""
        return 0 if self.shared else pool

    def _branch(self, values: Any, pool: int) -> Any:
        values = ops.matmul(values, self.reduce_kernels[self._set_of(pool)])
        values = self._activate(values, pool)
        return ops.matmul(values, self.expand_kernels[self._set_of(pool)])

    def _activate(self, values: Any, pool: int) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(self, "ratio", "shared")
