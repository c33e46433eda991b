"""What the attentions with two dense layers have in common."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    boolean,
    positive_int,
    reduced_channels,
)
from kerafer.layers.gate import Gate

_POOLS = {"max": ops.max, "average": ops.mean}


class BottleneckGate(Gate):
    """Weighs channels by `sigmoid(sum over pools of W2 . f(W1 . pool))`.

    Args:
        pools: Any of `"max"` and `"average"`; each is one branch.
        ratio: W1 divides the channels by it.
        shared: Whether the branches have W1, W2 and f in common.
        activation: f; a subclass may have a `hidden` of its own instead.
        use_bias: Whether biases are added behind W1 and W2.
        **kwargs: Those of `Gate`.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        ratio: int,
        shared: bool,
        activation: Any,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pools = pools
        self.ratio = positive_int("ratio", ratio)
        self.shared = boolean("shared", shared)
        self.activation = keras.activations.get(activation)
        self.use_bias = boolean("use_bias", use_bias)

    @property
    def _branches(self) -> list[tuple[str, ...]]:
        """The pools that each set of weights serves."""
        return [self.pools] if self.shared else [(p,) for p in self.pools]

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        reduced = reduced_channels(channels, self.ratio)
        self.reduce_kernels, self.expand_kernels = [], []
        self.reduce_biases, self.expand_biases = [], []
        for names in self._branches:
            suffix = "_".join(names)
            self.reduce_kernels.append(
                self._kernel(f"reduce_{suffix}", (channels, reduced))
            )
            self.expand_kernels.append(
                self._kernel(f"expand_{suffix}", (reduced, channels))
            )
            if self.use_bias:
                self.reduce_biases.append(
                    self._bias(f"reduce_bias_{suffix}", reduced)
                )
                self.expand_biases.append(
                    self._bias(f"expand_bias_{suffix}", channels)
                )

    def hidden(self, values: Any, branch: int) -> Any:
        """f of what W1 gave: shape `(batch, channels / ratio)`."""
        return self.activation(values)

    def gate(self, inputs: Any) -> Any:
        logits = 0.0
        for index, names in enumerate(self._branches):
            for name in names:
                values = self._pooled(inputs, _POOLS[name])
                values = ops.matmul(values, self.reduce_kernels[index])
                if self.use_bias:
                    values = values + self.reduce_biases[index]
                values = self.hidden(values, index)
                values = ops.matmul(values, self.expand_kernels[index])
                if self.use_bias:
                    values = values + self.expand_biases[index]
                logits = logits + values
        return ops.sigmoid(logits)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ratio": self.ratio}
