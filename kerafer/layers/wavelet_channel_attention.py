"""wCA, the article's wavelet channel attention."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.layers.arguments import get_settings, one_of
from kerafer.layers.gate import BottleneckGate
from kerafer.layers.morlet import Morlet
from kerafer.layers.ramps import Ramps


@keras.saving.register_keras_serializable(package="kerafer")
class WaveletChannelAttention(BottleneckGate):
    """Weigh channels by a trainable wavelet of their pools (wCA).

        branch(p) = W2 . psi(W1 . p)
        output = inputs * sigmoid(branch(max pool) + branch(average pool))

    Both pools are global. W1 reduces the channels by `ratio`, W2 restores
    them, neither has a bias, and psi is `kerafer.layers.Morlet`. This is the
    article's layer. Its future work asks for other fusions of the two pools,
    which replace the sum in the sigmoid:

        "gated":  g * branch(max pool) + (1 - g) * branch(average pool)
                  with g = sigmoid(Wg . [max pool, average pool] + bg)
        "concat": branch([max pool, average pool])

    g is one number for each image. One for each channel would take a Wg of
    `2 * C * C` numbers, four times the attention itself at ratio 4. Wg and bg
    start at 0, so g starts at 1/2 and the gate at the mean of the branches,
    half of what `"sum"` starts with.

    With C channels, ratio r, shared weights and psi per channel there are
    `2 * C * C / r + 2 * C / r` parameters. `"gated"` has `2 * C + 1` more, and
    `"concat"`, whose W1 takes 2C values, `C * C / r` more: at 192 channels and
    ratio 4 that is 18,528, 18,913 and 27,744.

    Args:
        ratio: Divides the channels. Default: 4, which the article names three
            times (and 8 once).
        shared: Whether both branches use the same W1, W2 and psi. Default:
            `True`; the article can be read either way.
        wavelet: As in `Morlet`. Default: `"morlet"`.
        center_frequency: As in `Morlet`. Default: 1.75.
        per_channel: Whether each reduced channel has its own scale and shift.
            Default: `True`.
        trainable_wavelet: Whether training changes the scale and shift of psi.
            Default: `True`.
        fusion: `"sum"`, `"gated"` or `"concat"`, as above. Default: `"sum"`,
            the article's.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the ratio is below 1 or does not divide the channels,
            the number of channels is undefined, the wavelet or fusion is
            unknown, or `"concat"` is used without shared weights.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(WaveletChannelAttention()(features))
        (1, 27, 27, 192)

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Forward propagation
        of the wCA".
    """

    def __init__(
        self,
        ratio: int = 4,
        shared: bool = True,
        wavelet: str = "morlet",
        center_frequency: float = 1.75,
        per_channel: bool = True,
        trainable_wavelet: bool = True,
        fusion: str = "sum",
        **kwargs: Any,
    ) -> None:
        super().__init__(ratio, shared, **kwargs)
        self.fusion = one_of("fusion", fusion, ("sum", "gated", "concat"))
        if fusion == "concat" and not shared:
            raise ValueError(
                '`fusion="concat"` needs shared=True: both pools have one set '
                "of weights. Received: shared=False"
            )
        self.wavelet = wavelet
        self.center_frequency = center_frequency
        self.per_channel = per_channel
        self.trainable_wavelet = trainable_wavelet
        self._integer_branches: list[tuple[Any, Any, Ramps, Any]] = []
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

    def _pooled_values(self, channels: int) -> int:
        return channels * (len(self.pools) if self.fusion == "concat" else 1)

    def _build_branch(self, index: int, reduced: int, channels: int) -> None:
        self.wavelets[index].build((None, reduced))
        if self.fusion == "gated" and index == len(self._served) - 1:
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
        if self.fusion == "sum":
            return super().gate(inputs)
        both = ops.concatenate(
            [self._pooled(inputs, pool) for pool in self.pools], axis=-1
        )
        if self.fusion == "concat":
            return ops.sigmoid(self._branch(both, 0))
        maximum, average = self._branches(inputs)
        share = ops.sigmoid(
            ops.matmul(both, self.fusion_kernel) + self.fusion_bias
        )
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
        if not self._integer_branches:
            return super()._branch(values, index)
        reduce, bias, ramps, expand = self._integer_branches[index]
        levels = ops.relu6(ops.matmul(values, reduce) + bias)
        return ops.matmul(ramps(levels), expand)

    def _activate(self, values: Any, index: int) -> Any:
        return self.wavelets[index](values)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self,
            "wavelet",
            "center_frequency",
            "per_channel",
            "trainable_wavelet",
            "fusion",
        )
