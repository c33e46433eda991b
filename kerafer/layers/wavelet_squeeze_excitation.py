"""wSE, the attention that the article tried first."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.layers.wavelet_channel_attention import WaveletChannelAttention


@keras.saving.register_keras_serializable(package="kerafer")
class WaveletSqueezeExcitation(WaveletChannelAttention):
    """Squeeze-and-excitation with a trainable wavelet for its ReLU (wSE).

        output = inputs * sigmoid(W2 . psi(W1 . average pool))

    It is `WaveletChannelAttention` without the maximum, and the article's
    failed case: better on FESR, worse on KDEF.

    Args:
        ratio: Divides the channels. Defaults to 4.
        wavelet: As in `Morlet`. Defaults to `"morlet"`.
        center_frequency: As in `Morlet`. Defaults to 1.75.
        per_channel: One scale and shift for each reduced channel, or one pair
            for all. Defaults to `True`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of W1 and W2. Defaults to `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of W1 and W2. Default to none.
        trainable_wavelet: Whether training changes psi's scale and shift.
            Defaults to `True`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1, channels that it does not divide, an
            undefined number of channels, or an unknown wavelet.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(WaveletSqueezeExcitation()(features))
        (1, 27, 27, 192)

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Failure case
        analysis".
    """

    pools = ("average",)

    def __init__(
        self,
        ratio: int = 4,
        wavelet: str = "morlet",
        center_frequency: float = 1.75,
        per_channel: bool = True,
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        trainable_wavelet: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ratio=ratio,
            shared=True,
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

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared"], config["fusion"]
        return config
