"""The ResNet18 family of the article: ResNet18, with MsC, wCA or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.models.blocks import (
    apply_first_pool,
    apply_norm,
    apply_resnet_stem,
    apply_scaling,
    apply_stages,
    build_classifier,
)
from kerafer.models.families import Variant, add_family, variant_attention
from kerafer.models.stem import (
    Branches,
    make_stem,
    split_finest,
    stem_branches,
)


def build_resnet18(
    variant: Variant,
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    stem: str = "full",
    **options: Any,
) -> keras.Model:
    """Build ResNet18 with one of two stems, and attention after the first pool.

    The multi-scale stem has stride 1: only that gives the 8.7320 G
    multiply-adds of the article.

    Args:
        variant: The model.
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        kernel_sizes, dilation_rates, groups: Of the multi-scale stem, as in
            `kerafer.models.stem.StemOptions`.
        stem: `"full"`, the article's: all branches at stride 1, then the first
            pooling, which halves the map. Or `"stride_2"`: the branch with the
            smallest field (3x3) at stride 1 and pooled as before, so that fine
            detail is kept; the others at stride 2 and not pooled; both
            concatenated. The body's input has the same size. With kernels 3,
            5, 7 the stem then takes a third of the multiply-adds (0.2649 G of
            0.7996 G at 224), without those of the norm. Default: `"full"`.
        **options: Of the attention, as in
            `kerafer.models.attention.AttentionOptions`.

    Raises:
        UserError: If the stem is unknown, or `"stride_2"` with one branch.
    """
    if stem not in ("full", "stride_2"):
        raise UserError(
            f"Unknown stem: stem={stem}. Choose one of full, stride_2."
        )
    attention = variant_attention(variant, options)
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    if not variant.multi_scale:
        x = apply_resnet_stem(x)
    else:
        branches = stem_branches(kernel_sizes, dilation_rates)
        if stem == "full":
            x = apply_first_pool(_apply_stem(x, branches, groups, 1, "stem"))
        else:
            finest, others = split_finest(branches)
            fine = _apply_stem(x, finest, groups, 1, "stem_fine")
            wide = _apply_stem(x, others, groups, 2, "stem")
            x = layers.Concatenate(name="stem_scales")(
                [apply_first_pool(fine), wide]
            )
    if attention is not None:
        x = attention(x)
    x = apply_stages(x, (64, 128, 256, 512))
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return build_classifier(variant.name, inputs, x, num_classes)


add_family(
    build_resnet18,
    {},
    {"stem": str},
    (
        Variant("resnet18", False, None, "Fig. 2"),
        Variant("msc_resnet18", True, None, "Fig. 4"),
        Variant("wca_resnet18", False, "wca", "Fig. 6"),
        Variant("msc_wca_resnet18", True, "wca", "Fig. 9"),
    ),
)


def _apply_stem(
    x: Any, branches: Branches, groups: int, strides: int, name: str
) -> Any:
    x = make_stem(
        branches,
        groups,
        x.shape[-1],
        strides=strides,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = apply_norm(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)
