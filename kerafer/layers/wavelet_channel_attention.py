"""wCA, the article's wavelet channel attention."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    boolean,
    one_of,
    positive_int,
    reduced_channels,
)
from kerafer.layers.gate import Gate
from kerafer.layers.morlet import Morlet
from kerafer.layers.ramps import Ramps

FUSIONS = ("sum", "gated", "concat")


@keras.saving.register_keras_serializable(package="kerafer")
class WaveletChannelAttention(Gate):
    """Channel attention whose activation is a trainable wavelet (wCA).

        branch(p) = W2 . psi(W1 . p)
        output = inputs * sigmoid(branch(max pool) + branch(average pool))

    Both pools are global; W1 reduces the channels by `ratio`, W2 restores
    them, neither has a bias; psi is `kerafer.layers.Morlet`. That is the
    article's; its future work asks for other fusions of the two pools:

        "gated":  g * branch(max pool) + (1 - g) * branch(average pool)
                  with g = sigmoid(Wg . [max pool, average pool] + bg)
        "concat": branch([max pool, average pool])

    stand in the sigmoid's brackets then. g is one number for each image:
    how far to trust its peaks or its means. One for each channel would take a
    Wg of `2 * C * C` numbers, four times the attention itself at ratio 4. Wg
    and bg start at 0, so g at 1/2: the sum starts as the mean of the branches,
    half of what `"sum"` starts with.

    With C channels, ratio r, shared weights and psi per channel there are
    `2 * C * C / r + 2 * C / r` parameters; `"gated"` has `2 * C + 1` more, and
    `"concat"`, whose W1 takes 2C values, `C * C / r` more: at 192 channels and
    ratio 4 that is 18,528, 18,913 and 27,744.

    Args:
        ratio: Divides the channels. Defaults to 4, which the article names
            three times (and 8 once).
        shared: Whether both branches use the same W1, W2 and psi. Defaults to
            `True`; the article can be read either way.
        wavelet: As in `Morlet`. Defaults to `"morlet"`.
        center_frequency: As in `Morlet`. Defaults to 1.75.
        per_channel: One scale and shift for each reduced channel, or one pair
            for all. Defaults to `True`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of W1 and W2. Defaults to `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of W1, W2 and Wg. Default to
            none.
        trainable_wavelet: Whether training changes psi's scale and shift.
            Defaults to `True`.
        fusion: `"sum"`, `"gated"` or `"concat"`, as above. Defaults to
            `"sum"`, the article's.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1, channels that it does not divide, an
            undefined number of channels, an unknown wavelet or fusion, or
            `"concat"` without shared weights.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(WaveletChannelAttention()(features))
        (1, 27, 27, 192)

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Forward propagation
        of the wCA".
    """

    pools: tuple[str, ...] = ("max", "average")

    def __init__(
        self,
        ratio: int = 4,
        shared: bool = True,
        wavelet: str = "morlet",
        center_frequency: float = 1.75,
        per_channel: bool = True,
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        trainable_wavelet: bool = True,
        fusion: str = "sum",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            data_format=data_format,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
        self.ratio = positive_int("ratio", ratio)
        self.shared = boolean("shared", shared)
        self.fusion = one_of("fusion", fusion, FUSIONS)
        if fusion == "concat" and not shared:
            raise ValueError(
                '`fusion="concat"` has one set of weights for both pools and '
                "takes shared=True. Received: shared=False"
            )
        self.wavelet = wavelet
        self.center_frequency = center_frequency
        self.per_channel = per_channel
        self.trainable_wavelet = trainable_wavelet
        self._integer_branches: list[tuple[Any, Any, Ramps, Any]] = []
        # The pools that each set of weights serves.
        self._served = ["_".join(self.pools)] if shared else list(self.pools)
        self.wavelets = [
            Morlet(
                center_frequency=center_frequency,
                per_channel=per_channel,
                wavelet=wavelet,
                trainable_wavelet=trainable_wavelet,
                dtype=self.gate_dtype,
                name=f"psi_{name}",
            )
            for name in self._served
        ]

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        reduced = reduced_channels(channels, self.ratio)
        values = channels * (len(self.pools) if self.fusion == "concat" else 1)
        self.reduce_kernels, self.expand_kernels = [], []
        for name, psi in zip(self._served, self.wavelets, strict=True):
            self.reduce_kernels.append(
                self._kernel(f"reduce_{name}", (values, reduced))
            )
            self.expand_kernels.append(
                self._kernel(f"expand_{name}", (reduced, channels))
            )
            psi.build((None, reduced))
        if self.fusion == "gated":
            self.fusion_kernel = self.add_weight(
                name="fusion_kernel",
                shape=(len(self.pools) * channels, 1),
                initializer="zeros",
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
                autocast=False,
            )
            self.fusion_bias = self._bias("fusion_bias", 1)

    def gate(self, inputs: Any) -> Any:
        pools = [self._pooled(inputs, pool) for pool in self.pools]
        if self.fusion == "concat":
            both = ops.concatenate(pools, axis=-1)
            return ops.sigmoid(self._branch(both, 0))
        branches = [
            self._branch(pool, 0 if self.shared else index)
            for index, pool in enumerate(pools)
        ]
        if self.fusion == "sum":
            return ops.sigmoid(sum(branches))
        both = ops.concatenate(pools, axis=-1)
        share = ops.sigmoid(
            ops.matmul(both, self.fusion_kernel) + self.fusion_bias
        )
        maximum, average = branches
        return ops.sigmoid(share * maximum + (1.0 - share) * average)

    def set_export(self, form: str | None) -> None:
        """Compute with ramps for files of 8 bits, from here on.

        W1 has a few more columns then, which give constants: they hold the
        range of every tensor (see `Ramps.pins`), and W2 ignores them.

        Args:
            form: `"integer"`; anything else computes the wavelet itself.
        """
        self._integer_branches = []
        if form != "integer":
            return
        for reduce, expand, psi in zip(
            self.reduce_kernels,
            self.expand_kernels,
            self.wavelets,
            strict=True,
        ):
            ramps, factor, summand = psi.ramps()
            pins = ramps.pins
            kernel = ops.convert_to_numpy(reduce) * factor
            reduced = kernel.shape[1]
            bias = np.append(np.broadcast_to(summand, reduced), pins)
            self._integer_branches.append(
                (
                    np.pad(kernel, ((0, 0), (0, len(pins)))),
                    bias.astype(np.float32),
                    ramps,
                    np.pad(
                        ops.convert_to_numpy(expand), ((0, len(pins)), (0, 0))
                    ),
                )
            )

    def _branch(self, values: Any, index: int) -> Any:
        """`W2 . psi(W1 . values)` with one set of weights."""
        if self._integer_branches:
            reduce, bias, ramps, expand = self._integer_branches[index]
            levels = ops.relu6(ops.matmul(values, reduce) + bias)
            return ops.matmul(ramps(levels), expand)
        values = ops.matmul(values, self.reduce_kernels[index])
        values = self.wavelets[index](values)
        return ops.matmul(values, self.expand_kernels[index])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "shared": self.shared,
            "wavelet": self.wavelet,
            "center_frequency": self.center_frequency,
            "per_channel": self.per_channel,
            "trainable_wavelet": self.trainable_wavelet,
            "fusion": self.fusion,
        }
