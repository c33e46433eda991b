"""AlexNet with wavelet channel attention (wCA-CNN)."""

from __future__ import annotations

from typing import Unpack

import keras

from kerafer.models.attention import AttentionOptions, make_attention
from kerafer.models.cnn_body import build_cnn
from kerafer.models.registry import register_model


@register_model
def wca_cnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """AlexNet with wavelet channel attention (wCA-CNN).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Defaults to 4, or 2 where the picture
            is too small for it.
        **options: As in `kerafer.models.attention.AttentionOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 5.
    """
    return build_cnn(
        "wca_cnn",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=make_attention(**options),
        stem_strides=stem_strides,
    )
