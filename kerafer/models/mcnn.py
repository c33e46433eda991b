"""AlexNet with a multi-scale stem (MCNN)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerafer.models.cnn_body import build_cnn
from kerafer.models.multi_scale_stem import as_branches
from kerafer.models.registry import register_model


@register_model
def mcnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
) -> keras.Model:
    """AlexNet with a multi-scale stem (MCNN).

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Defaults to 4, or 2 where the picture
            is too small for it.
        kernel_sizes: One odd kernel size, or one a branch of the stem.
            Defaults to `(3, 5, 7)`.
        dilation_rates, groups: As in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 3.
    """
    return build_cnn(
        "mcnn",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        attention=None,
        stem_strides=stem_strides,
    )
