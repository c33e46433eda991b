"""ResNet18, the article's second baseline."""

from __future__ import annotations

import keras

from kerafer.models.registry import register_model
from kerafer.models.resnet18_body import build_resnet18


@register_model
def resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """ResNet18, the article's second baseline.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 2.
    """
    return build_resnet18(
        "resnet18",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=None,
    )
