"""A small model for phones: multi-scale stem, ghost modules, wCA."""

from __future__ import annotations

from typing import Any, Unpack

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import MultiScaleConv2D
from kerafer.models.attention import AttentionOptions, make_attention
from kerafer.models.blocks import (
    apply_convolution,
    apply_norm,
    apply_scaling,
    build_classifier,
)
from kerafer.models.registry import register_model


def apply_ghost_module(
    x: Any,
    filters: int,
    strides: int = 1,
    activated: bool = True,
    name: str = "ghost",
) -> Any:
    """Compute half of the channels by 3x3 convolution, the rest cheaply.

        primary = relu(norm(conv(x)))             half of the channels
        cheap = relu(norm(depthwise(primary)))    the other half
        output = concatenate(primary, cheap)

    Args:
        x: Of shape `(batch, height, width, channels)`.
        filters: Output channels, an even number.
        strides: Step of the primary convolution. Default: 1.
        activated: Whether both parts end in a ReLU. Default: `True`.
        name: Prefix of the names of its layers. Default: `"ghost"`.

    Returns:
        Of shape `(batch, new_height, new_width, filters)`, where the new size
        is `(size - 1) // strides + 1`.

    Reference:
        Han et al., "GhostNet: More Features from Cheap Operations", CVPR
        (2020), equations 3 and 4, figure 2, with a ratio of 2.
    """
    primary = apply_convolution(x, filters // 2, 3, strides, f"{name}_primary")
    if activated:
        primary = layers.ReLU(name=f"{name}_primary_relu")(primary)
    cheap = layers.DepthwiseConv2D(
        3,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_cheap",
    )(primary)
    cheap = apply_norm(cheap, f"{name}_cheap_norm")
    if activated:
        cheap = layers.ReLU(name=f"{name}_cheap_relu")(cheap)
    return layers.Concatenate(name=f"{name}_concat")([primary, cheap])


_STEM_FILTERS = 16
# Channels at width 1, step, and whether the convolutions are ghost modules.
_BLOCKS = (
    (24, 1, False),
    (64, 2, False),
    (64, 1, False),
    (160, 2, True),
    (160, 1, True),
)


@register_model(
    recommended_size=(48, 112),
    # Three halvings leave 3 x 3 positions, one of them off the border.
    least_size=(24, "its three halvings"),
)
def kerafer_edge(
    num_classes: int,
    input_shape: tuple[int, int, int],
    width: float = 1.0,
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """Build a small model for phones: multi-scale stem, ghost modules, wCA.

    A stem of three kernel sizes at stride 2, then wCA; residual blocks of two
    3x3 convolutions at a half and a quarter of the image's size; blocks of two
    ghost modules at an eighth, where most weights are; wCA again, global
    average pooling and dropout. For 64 x 64 x 3, 7 classes and width 1:

    | step             | size    | channels | parameters | multiply-adds |
    |------------------|---------|---------:|-----------:|--------------:|
    | stem 3, 5, 7     | 32 x 32 |       48 |      4,080 |     4,079,616 |
    | wCA              | 32 x 32 |       48 |      1,176 |         2,304 |
    | block            | 32 x 32 |       24 |     16,848 |    17,104,896 |
    | block, stride 2  | 16 x 16 |       64 |     52,608 |    13,369,344 |
    | block            | 16 x 16 |       64 |     73,984 |    18,874,368 |
    | ghosts, stride 2 |   8 x 8 |      160 |    173,920 |    11,069,440 |
    | ghosts           |   8 x 8 |      160 |    232,480 |    14,837,760 |
    | wCA              |   8 x 8 |      160 |     12,880 |        25,600 |
    | classifier       |         |        7 |      1,127 |         1,120 |
    | all              |         |          |    569,103 |    79,364,448 |

    At width 0.75, 0.5, 0.375 and 0.25 the parameters are 319,801, 148,195,
    90,667 and 38,381, the multiply-adds 43.8, 23.3, 13.2 and 6.3 M. An int8
    .tflite file has 625 kB at width 1, and 366, 186, 125 and 67 kB.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 24 x 24; made for
            48 to 112 pixels a side.
        width: Multiplies the channels, which are rounded to multiples of 8
            (4 in each branch of the stem). 0.25 to 2. Default: 1.
        **options: Of both attentions, as in
            `kerafer.models.attention.AttentionOptions`.

    Raises:
        UserError: If the image is too small, or the width out of range.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), for stem and wCA; Han
        et al., "GhostNet: More Features from Cheap Operations", CVPR (2020).
    """
    if not 0.25 <= width <= 2:
        raise UserError(
            f"`width` of kerafer_edge must be 0.25 to 2. Received: {width}."
        )
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    x = MultiScaleConv2D(
        _scaled(_STEM_FILTERS, width, 4),
        strides=2,
        use_bias=False,
        kernel_initializer="he_normal",
        name="stem",
    )(x)
    x = apply_norm(x, "stem_norm")
    x = layers.ReLU(name="stem_relu")(x)
    x = make_attention(**options)(x)
    for index, (channels, strides, ghosts) in enumerate(_BLOCKS, start=1):
        filters = _scaled(channels, width, 8)
        x = _apply_block(x, filters, strides, ghosts, f"block_{index}")
    x = make_attention("head_attention", **options)(x)
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    return build_classifier("kerafer_edge", inputs, x, num_classes)


def _apply_block(
    x: Any, filters: int, strides: int, ghosts: bool, name: str
) -> Any:
    """Two 3x3 convolutions or ghost modules with a shortcut."""
    shortcut = x
    if strides > 1:
        # A 1x1 convolution with stride 2 would see one pixel in four.
        shortcut = layers.AveragePooling2D(
            strides, padding="same", name=f"{name}_shortcut_pool"
        )(shortcut)
    if x.shape[-1] != filters:
        shortcut = apply_convolution(
            shortcut, filters, 1, 1, f"{name}_shortcut"
        )
    if ghosts:
        x = apply_ghost_module(x, filters, strides, name=f"{name}_ghost_1")
        x = apply_ghost_module(
            x, filters, activated=False, name=f"{name}_ghost_2"
        )
    else:
        x = apply_convolution(x, filters, 3, strides, f"{name}_conv_1")
        x = layers.ReLU(name=f"{name}_relu_1")(x)
        x = apply_convolution(x, filters, 3, 1, f"{name}_conv_2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu_2")(x)


def _scaled(channels: int, width: float, step: int) -> int:
    """Channels times width, to the nearest multiple of a step above 0."""
    return max(1, round(channels * width / step)) * step
