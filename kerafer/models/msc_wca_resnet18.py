"""ResNet18 with a multi-scale stem and wCA (MsC-wCA-ResNet18)."""

from __future__ import annotations

import keras

from kerafer.layers import WaveletChannelAttention
from kerafer.models.registry import register_model
from kerafer.models.resnet18_body import build_resnet18


@register_model
def msc_wca_resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    ratio: int = 4,
    shared: bool = True,
    wavelet: str = "morlet",
    center_frequency: float = 1.75,
    per_channel: bool = True,
) -> keras.Model:
    """ResNet18 with a multi-scale stem and wCA (MsC-wCA-ResNet18).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        ratio, shared, wavelet, center_frequency, per_channel: As in
            `kerafer.layers.WaveletChannelAttention`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 9.
    """
    return build_resnet18(
        "msc_wca_resnet18",
        num_classes,
        input_shape,
        multi_scale=True,
        attention=WaveletChannelAttention(
            ratio=ratio,
            shared=shared,
            wavelet=wavelet,
            center_frequency=center_frequency,
            per_channel=per_channel,
            name="attention",
        ),
    )
