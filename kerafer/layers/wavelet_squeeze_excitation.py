"""wSE, the attention that the article tried first."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.layers.wavelet_channel_attention import WaveletChannelAttention


@keras.saving.register_keras_serializable(package="kerafer")
class WaveletSqueezeExcitation(WaveletChannelAttention):
    """Squeeze-and-excitation with a trainable wavelet instead of ReLU (wSE).

        output = inputs * sigmoid(W2 . psi(W1 . average pool))

    This is `WaveletChannelAttention` without the maximum. It is the article's
    failed case: better on FESR, worse on KDEF.

    Args:
        ratio: Divides the channels. Default: 4.
        **kwargs: `wavelet`, `center_frequency`, `per_channel`,
            `trainable_wavelet`, `normalize`, `adapt` and
            `learning_rate_multiplier` of `WaveletChannelAttention`, and those
            of `Gate`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: As for `WaveletChannelAttention`.

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
        trainable_wavelet: bool = True,
        normalize: bool = False,
        adapt: bool = False,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ratio=ratio,
            wavelet=wavelet,
            center_frequency=center_frequency,
            per_channel=per_channel,
            trainable_wavelet=trainable_wavelet,
            normalize=normalize,
            adapt=adapt,
            learning_rate_multiplier=learning_rate_multiplier,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared"], config["fusion"]
        return config
