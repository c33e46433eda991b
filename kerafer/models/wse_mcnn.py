"""The article's failed case: MCNN with wSE (wSE-MCNN)."""

from __future__ import annotations

import keras

from kerafer.layers import WaveletSqueezeExcitation
from kerafer.models.cnn_body import build_cnn
from kerafer.models.registry import register_model


@register_model
def wse_mcnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    ratio: int = 4,
    wavelet: str = "morlet",
    center_frequency: float = 1.75,
    per_channel: bool = True,
) -> keras.Model:
    """The article's failed case: MCNN with wSE (wSE-MCNN).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Defaults to 4, or 2 where the picture
            is too small for it.
        ratio, wavelet, center_frequency, per_channel: As in
            `kerafer.layers.WaveletSqueezeExcitation`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Failure case
        analysis".
    """
    return build_cnn(
        "wse_mcnn",
        num_classes,
        input_shape,
        multi_scale=True,
        attention=WaveletSqueezeExcitation(
            ratio=ratio,
            wavelet=wavelet,
            center_frequency=center_frequency,
            per_channel=per_channel,
            name="attention",
        ),
        stem_strides=stem_strides,
    )
