"""The CNN family of the article: AlexNet, with MsC, wCA or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.models.blocks import apply_norm, apply_scaling, build_classifier
from kerafer.models.families import Variant, add_family, variant_attention
from kerafer.models.stem import make_stem, stem_branches


def build_alexnet(
    variant: Variant,
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    **options: Any,
) -> keras.Model:
    """Build AlexNet with one of two stems, and attention after the first pool.

    Args:
        variant: The model.
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Default: the article's 4, or 2 if the
            image is too small for three poolings after 4.
        kernel_sizes, dilation_rates, groups: Of the multi-scale stem, as in
            `kerafer.models.stem.StemOptions`.
        **options: Of the attention, as in
            `kerafer.models.attention.AttentionOptions`.

    Raises:
        UserError: If the image is too small. Names the least size.
    """
    # The article pads the multi-scale stem as if its kernels were 1x1.
    kernel_size, padding = (1, 0) if variant.multi_scale else (11, 2)
    stem_strides = _fitting_strides(
        variant.name, input_shape[:2], kernel_size - 2 * padding, stem_strides
    )
    attention = variant_attention(variant, options)
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    if variant.multi_scale:
        branches = stem_branches(kernel_sizes, dilation_rates)
        x = make_stem(
            branches, groups, input_shape[-1], strides=stem_strides, name="stem"
        )(x)
    else:
        x = layers.ZeroPadding2D(padding, name="stem_padding")(x)
        x = layers.Conv2D(64, kernel_size, stem_strides, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(3, 2, name="pool_1")(x)
    if attention is not None:
        x = attention(x)
    x = _apply_convolution(x, 192, 5, "conv_2", normalize=True)
    x = layers.MaxPooling2D(3, 2, name="pool_2")(x)
    x = _apply_convolution(x, 384, 3, "conv_3")
    x = _apply_convolution(x, 256, 3, "conv_4")
    x = _apply_convolution(x, 256, 3, "conv_5", normalize=True)
    x = layers.MaxPooling2D(3, 2, name="pool_3")(x)
    x = layers.Flatten(name="flatten")(x)
    for index, rate in ((1, 0.5), (2, 0.3)):
        x = layers.Dense(4096, name=f"dense_{index}")(x)
        x = layers.ReLU(name=f"dense_{index}_relu")(x)
        x = layers.Dropout(rate, name=f"dropout_{index}")(x)
    return build_classifier(variant.name, inputs, x, num_classes)


add_family(
    build_alexnet,
    {"stem_strides": int | None},
    {},
    (
        Variant("cnn", False, None, "Fig. 1"),
        Variant("mcnn", True, None, "Fig. 3"),
        Variant("wca_cnn", False, "wca", "Fig. 5"),
        Variant("wca_mcnn", True, "wca", "Fig. 8"),
        Variant("wse_mcnn", True, "wse", '"Failure case analysis"'),
    ),
)


def _apply_convolution(
    x: Any, filters: int, size: int, name: str, normalize: bool = False
) -> Any:
    x = layers.Conv2D(filters, size, padding="same", name=name)(x)
    if normalize:
        x = apply_norm(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)


def _fitting_strides(
    name: str, size: tuple[int, int], extent: int, strides: int | None
) -> int:
    """The step of a stem of this extent for an image of this size."""
    # Three poolings of 3 at stride 2 reduce a side of 15 to 1.
    for choice in (4, 2) if strides is None else (strides,):
        least = extent + 14 * choice
        if min(size) >= least:
            return choice
    raise UserError(
        f"{name} needs images of at least {least} x {least} pixels for its "
        f"three poolings after a stem of stride {choice}. "
        f"Received: {size[0]} x {size[1]}."
    )
