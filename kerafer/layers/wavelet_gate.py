"""What the two wavelet attentions have in common."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, positive_int, reduced_channels
from kerafer.layers.morlet import Morlet

_POOLS = {"max": ops.max, "average": ops.mean}


class WaveletGate(keras.layers.Layer):
    """Weighs channels by `sigmoid(sum over pools of W2 . psi(W1 . pool))`.

    Args:
        pools: Any of `"max"` and `"average"`; each is one branch.
        shared: Whether the branches have W1, W2 and psi in common.

    The other arguments are those of `WaveletChannelAttention`.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        ratio: int,
        shared: bool,
        wavelet: str,
        center_frequency: float,
        per_channel: bool,
        data_format: str | None,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pools = pools
        self.ratio = positive_int("ratio", ratio)
        self.shared = shared
        self.wavelet = wavelet
        self.center_frequency = center_frequency
        self.per_channel = per_channel
        self.data_format = data_format or keras.config.image_data_format()
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                '`data_format` must be "channels_last" or "channels_first". '
                f"Received: data_format={data_format!r}"
            )
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        # A gate is a few hundred numbers: float32 costs nothing there.
        self.gate_dtype = keras.backend.result_type(
            self.compute_dtype, "float32"
        )
        self.wavelets = [
            Morlet(
                center_frequency=center_frequency,
                per_channel=per_channel,
                wavelet=wavelet,
                dtype=self.gate_dtype,
                name=f"psi_{'_'.join(names)}",
            )
            for names in self._branches
        ]
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def _branches(self) -> list[tuple[str, ...]]:
        """The pools that each set of weights serves."""
        return [self.pools] if self.shared else [(p,) for p in self.pools]

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[self._channel_axis]
        reduced = reduced_channels(channels, self.ratio)
        self.reduce_kernels, self.expand_kernels = [], []
        for names, wavelet in zip(self._branches, self.wavelets, strict=True):
            suffix = "_".join(names)
            self.reduce_kernels.append(
                self._kernel(f"reduce_{suffix}", (channels, reduced))
            )
            self.expand_kernels.append(
                self._kernel(f"expand_{suffix}", (reduced, channels))
            )
            wavelet.build((None, reduced))

    def _kernel(self, name: str, shape: tuple[int, int]) -> keras.Variable:
        initializer = self.kernel_initializer
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

    def gate(self, inputs: Any) -> Any:
        """The weight of every channel: shape `(batch, channels)`, 0 to 1."""
        axes = (1, 2) if self._channel_axis == -1 else (2, 3)
        logits = 0.0
        for index, names in enumerate(self._branches):
            for name in names:
                # Sums of thousands of half-precision numbers lose their tail.
                values = ops.cast(inputs, self.gate_dtype)
                pooled = _POOLS[name](values, axis=axes)
                reduced = ops.matmul(pooled, self.reduce_kernels[index])
                logits = logits + ops.matmul(
                    self.wavelets[index](reduced), self.expand_kernels[index]
                )
        return ops.sigmoid(logits)

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
            "ratio": self.ratio,
            "wavelet": self.wavelet,
            "center_frequency": self.center_frequency,
            "per_channel": self.per_channel,
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
