"""ResNet18 with wavelet channel attention (wCA-ResNet18)."""

from __future__ import annotations

from typing import Unpack

import keras

from kerafer.models.attention import AttentionOptions, make_attention
from kerafer.models.registry import register_model
from kerafer.models.resnet18_body import build_resnet18


@register_model
def wca_resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """ResNet18 with wavelet channel attention (wCA-ResNet18).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        **options: As in `kerafer.models.attention.AttentionOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 6.
    """
    return build_resnet18(
        "wca_resnet18",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=make_attention(**options),
    )
