"""ResNet18 with a multi-scale stem (MsC-ResNet18)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerafer.models.multi_scale_stem import as_branches
from kerafer.models.registry import register_model
from kerafer.models.resnet18_body import build_resnet18


@register_model
def msc_resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    stem: str = "full",
) -> keras.Model:
    """ResNet18 with a multi-scale stem (MsC-ResNet18).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        kernel_sizes: One odd kernel size, or one a branch of the stem.
            Defaults to `(3, 5, 7)`.
        dilation_rates, groups: As in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.
        stem: `"full"` or `"stride_2"`, as in
            `kerafer.models.resnet18_body.build_resnet18`. Defaults to
            `"full"`, the article's.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 4.
    """
    return build_resnet18(
        "msc_resnet18",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        stem=stem,
        attention=None,
    )
