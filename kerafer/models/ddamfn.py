"""DDAMFN, which the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kerafer.layers import ChannelSlice, CoordinateAttention, DualDirectionHead
from kerafer.models.blocks import (
    apply_convolution,
    apply_norm,
    apply_scaling,
    build_classifier,
)
from kerafer.models.losses import (
    ClassLoss,
    Objective,
    Outputs,
    head_diversity,
    plain,
)
from kerafer.models.registry import register_model

# Filters, strides, channels between the 1x1 convolutions, how many of these go
# to the kernels 3, 5, 7, 9, and the number of such blocks.
_BOTTLENECKS = (
    (64, 2, 128, (64, 32, 32), 1),
    (64, 1, 128, (96, 32), 9),
    (128, 2, 256, (128, 64, 64), 1),
    (128, 1, 256, (192, 64), 16),
    (256, 2, 1024, (256, 256, 256, 256), 1),
    (256, 1, 512, (172, 170, 170), 6),
)


def _diverse_heads(class_loss: ClassLoss) -> Objective:
    entropy, heads = plain(class_loss).loss, ("head_1", "head_2")

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        diversity = head_diversity([outputs[head] for head in heads])
        return entropy(labels, outputs, weights) + 0.1 * diversity

    return Objective(loss, heads)


@register_model(
    objective=_diverse_heads,
    recommended_size=(112, 112),
    # Four halvings leave 2 x 2 positions for the heads.
    least_size=(17, "a map of two rows and columns after its four halvings"),
)
def ddamfn(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """Build DDAMFN: mixed depthwise kernels and two dual-direction heads.

    It has 34 bottlenecks: a 1x1 convolution, depthwise convolutions of up to
    four sizes on parts of the channels, coordinate attention and a 1x1
    convolution back. Each head then computes a map of rows and columns. The
    maximum of both maps multiplies the features, and a depthwise convolution
    of the size of the map leaves 512 numbers for the dense layer.

    The article (Liu et al., 2025) prints "DDMAFN" and cites a
    super-resolution network of that name. It means the facial expression
    network DDAMFN.

    Made for 112 x 112, with 4,105,999 parameters (colour images, 7 classes).
    The kernels of the heads and the last one are as large as their input, so
    other sizes differ a little. The published program counts 81,422 more, of
    layers that it makes and never calls: BatchNorm and PReLU after the
    depthwise convolutions, a 7x7 convolution in each head, and BatchNorm after
    the dense layer.

    The published loss is cross-entropy plus
    `kerafer.models.losses.head_diversity` of the outputs of the layers
    `head_1` and `head_2`.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 17 x 17.

    Raises:
        UserError: If the image is too small.

    Reference:
        Zhang et al., "A Dual-Direction Attention Mixed Feature Network for
        Facial Expression Recognition", Electronics 12(17), 3595 (2023).
    """
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    x = apply_convolution(x, 64, 3, 2, "stem")
    x = _apply_activation(x, "stem")
    x = _apply_depthwise(x, 3, 1, "stem_depthwise")
    x = apply_norm(x, "stem_depthwise_norm")
    x = _apply_activation(x, "stem_depthwise")
    index = 0
    for filters, strides, groups, split, repeats in _BOTTLENECKS:
        for _ in range(repeats):
            index += 1
            x = _apply_bottleneck(
                x, filters, strides, groups, split, f"bottleneck_{index}"
            )
    x = apply_convolution(x, 512, 1, 1, "features")
    x = _apply_activation(x, "features")
    heads = [DualDirectionHead(name=f"head_{head}")(x) for head in (1, 2)]
    gate = layers.Maximum(name="head_maximum")(heads)
    x = layers.Multiply(name="head_product")([x, gate])
    x = _make_depthwise(x.shape[1:3], 1, "valid", "pool")(x)
    x = apply_norm(x, "pool_norm")
    x = layers.Flatten(name="flatten")(x)
    return build_classifier("ddamfn", inputs, x, num_classes)


def _apply_bottleneck(
    x: Any,
    filters: int,
    strides: int,
    groups: int,
    split: tuple[int, ...],
    name: str,
) -> Any:
    shortcut = x
    x = apply_convolution(x, groups, 1, 1, f"{name}_expand")
    x = _apply_activation(x, f"{name}_expand")
    parts, start = [], 0
    for size, channels in zip((3, 5, 7, 9), split, strict=False):
        stop = start + channels
        part = ChannelSlice(start, stop, name=f"{name}_channels_{size}")(x)
        parts.append(
            _apply_depthwise(part, size, strides, f"{name}_depthwise_{size}")
        )
        start = stop
    x = layers.Concatenate(name=f"{name}_concatenate")(parts)
    x = CoordinateAttention(name=f"{name}_attention")(x)
    x = apply_convolution(x, filters, 1, 1, f"{name}_reduce")
    if strides == 1:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _apply_depthwise(x: Any, size: int, strides: int, name: str) -> Any:
    """A kernel a channel, padded by `size // 2` on each side."""
    if strides > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)
    padding = "same" if strides == 1 else "valid"
    return _make_depthwise(size, strides, padding, name)(x)


def _make_depthwise(
    size: int | tuple[int, int], strides: int, padding: str, name: str
) -> layers.DepthwiseConv2D:
    return layers.DepthwiseConv2D(
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        # He's initializer: one output sums the taps of its own channel, which
        # Keras counts as the fan out of a depthwise kernel.
        depthwise_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out"
        ),
        name=name,
    )


def _apply_activation(x: Any, name: str) -> Any:
    """PReLU, a slope a channel, from the 0.25 of He et al. (2015)."""
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=[1, 2],
        name=f"{name}_prelu",
    )(x)
