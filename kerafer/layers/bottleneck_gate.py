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

    Attributes:
        fusion: How the pools come together, as in `WaveletChannelAttention`,
            which alone has others than `"sum"`.
    """

    fusion = "sum"

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
        values = channels * (len(self.pools) if self.fusion == "concat" else 1)
        self.reduce_kernels, self.expand_kernels = [], []
        self.reduce_biases, self.expand_biases = [], []
        for names in self._branches:
            suffix = "_".join(names)
            self.reduce_kernels.append(
                self._kernel(f"reduce_{suffix}", (values, reduced))
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
        pools = [self._pooled(inputs, _POOLS[name]) for name in self.pools]
        return ops.sigmoid(self._fused(pools))

    def _fused(self, pools: list[Any]) -> Any:
        """What the sigmoid takes: shape `(batch, channels)`."""
        return sum(self._of_each(pools))

    def _of_each(self, pools: list[Any]) -> list[Any]:
        # One set of weights serves all pools, or each pool has its own.
        return [
            self._bottleneck(pool, 0 if self.shared else index)
            for index, pool in enumerate(pools)
        ]

    def _bottleneck(self, values: Any, branch: int) -> Any:
        """W2 . f(W1 . values)."""
        values = ops.matmul(values, self.reduce_kernels[branch])
        if self.use_bias:
            values = values + self.reduce_biases[branch]
        values = self.hidden(values, branch)
        values = ops.matmul(values, self.expand_kernels[branch])
        if self.use_bias:
            values = values + self.expand_biases[branch]
        return values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ratio": self.ratio}
