"""AlexNet with wavelet channel attention (wCA-CNN)."""

from __future__ import annotations

import keras

from kerafer.layers import WaveletChannelAttention
from kerafer.models.cnn_body import build_cnn
from kerafer.models.registry import register_model


@register_model
def wca_cnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    ratio: int = 4,
    shared: bool = True,
    wavelet: str = "morlet",
    center_frequency: float = 1.75,
    per_channel: bool = True,
) -> keras.Model:
    """AlexNet with wavelet channel attention (wCA-CNN).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Defaults to 4, or 2 where the picture
            is too small for it.
        ratio, shared, wavelet, center_frequency, per_channel: As in
            `kerafer.layers.WaveletChannelAttention`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 5.
    """
    return build_cnn(
        "wca_cnn",
        num_classes,
        input_shape,
        multi_scale=False,
        attention=WaveletChannelAttention(
            ratio=ratio,
            shared=shared,
            wavelet=wavelet,
            center_frequency=center_frequency,
            per_channel=per_channel,
            name="attention",
        ),
        stem_strides=stem_strides,
    )
