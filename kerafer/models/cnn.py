"""AlexNet as the article has it, its baseline."""

from __future__ import annotations

import keras

from kerafer.models.cnn_body import build_cnn
from kerafer.models.registry import register_model


@register_model
def cnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
) -> keras.Model:
    """AlexNet as the article has it, its baseline.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Defaults to 4, or 2 where the picture
            is too small for it.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 1.
    """
    return build_cnn(
        "cnn",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=None,
        stem_strides=stem_strides,
    )
