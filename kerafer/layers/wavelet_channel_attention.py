"""wCA, the article's wavelet channel attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, one_of
from kerafer.layers.wavelet_gate import WaveletGate

FUSIONS = ("sum", "gated", "concat")


@keras.saving.register_keras_serializable(package="kerafer")
class WaveletChannelAttention(WaveletGate):
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
            pools=("max", "average"),
            ratio=ratio,
            shared=shared,
            wavelet=wavelet,
            center_frequency=center_frequency,
            per_channel=per_channel,
            trainable_wavelet=trainable_wavelet,
            data_format=data_format,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
        self.fusion = one_of("fusion", fusion, FUSIONS)
        if fusion == "concat" and not shared:
            raise ValueError(
                '`fusion="concat"` has one set of weights for both pools and '
                "takes shared=True. Received: shared=False"
            )

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self.fusion == "gated":
            self.fusion_kernel = self.add_weight(
                name="fusion_kernel",
                shape=(2 * self._channels(input_shape), 1),
                initializer="zeros",
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
                autocast=False,
            )
            self.fusion_bias = self._bias("fusion_bias", 1)

    def _fused(self, pools: list[Any]) -> Any:
        if self.fusion == "sum":
            return super()._fused(pools)
        both = ops.concatenate(pools, axis=-1)
        if self.fusion == "concat":
            return self._bottleneck(both, 0)
        share = ops.sigmoid(
            ops.matmul(both, self.fusion_kernel) + self.fusion_bias
        )
        maximum, average = self._of_each(pools)
        return share * maximum + (1.0 - share) * average

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "shared": self.shared,
            "fusion": self.fusion,
        }
