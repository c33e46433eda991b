"""DDAMFN, a method that the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kerafer.layers import ChannelSlice, CoordinateAttention, DualDirectionHead
from kerafer.models.convolution import apply_convolution, apply_norm
from kerafer.models.ends import apply_classifier, apply_scaling
from kerafer.models.losses import HeadDiversity
from kerafer.models.objective import Classified, Objective, Outputs, plain
from kerafer.models.registry import register_model

# Filters, strides, channels between the 1x1 convolutions, and how many of
# these go to the kernels 3, 5, 7, 9; how often.
_BOTTLENECKS = (
    (64, 2, 128, (64, 32, 32), 1),
    (64, 1, 128, (96, 32), 9),
    (128, 2, 256, (128, 64, 64), 1),
    (128, 1, 256, (192, 64), 16),
    (256, 2, 1024, (256, 256, 256, 256), 1),
    (256, 1, 512, (172, 170, 170), 6),
)


def _heads_apart(classified: Classified) -> Objective:
    apart, heads = HeadDiversity(), ("head_1", "head_2")
    right = plain(classified).loss

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        diversity = apart([outputs[head] for head in heads])
        return right(labels, outputs, weights) + 0.1 * diversity

    return Objective(loss, heads)


@register_model(
    alias="ddmafn",
    objective=_heads_apart,
    made_for=(112, 112),
    # Halved four times it leaves 2 x 2 positions to the heads.
    least_size=(17, "a map of two rows and columns behind its four steps of 2"),
)
def ddamfn(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """DDAMFN: mixed depthwise kernels and two dual-direction heads.

    34 bottlenecks, each a 1x1 convolution, depthwise convolutions of up to
    four sizes on parts of the channels, coordinate attention and a 1x1
    convolution back; then a map of rows and columns from each head, the larger
    of both times the features, and one depthwise convolution of the size of
    the map, which leaves 512 numbers to the dense layer.

    The article (Liu et al., 2025) prints "DDMAFN" and cites a
    super-resolution network of that name. The facial expression network
    published beside it is DDAMFN, which is meant here; both names are known
    to `create_model`.

    Made for 112 x 112, where it has 4,105,999 parameters (of colour images
    and 7 classes); the kernels of the heads and the last one are as large as
    their input, so other sizes take a few more or less. The published program
    counts 81,422 more, of layers that it makes and never calls: BatchNorm and
    PReLU behind the depthwise convolutions, a 7x7 convolution in each head,
    BatchNorm behind the dense layer.

    The published loss is cross-entropy plus a term that pushes the heads'
    maps apart. These are the outputs of the layers `head_1` and `head_2`.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 17 x 17.

    Raises:
        UserError: Where the image is too small.

    Reference:
        Zhang et al., "A Dual-Direction Attention Mixed Feature Network for
        Facial Expression Recognition", Electronics 12(17), 3595 (2023).
    """
    # === Functional Model ===
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
    return keras.Model(inputs, apply_classifier(x, num_classes), name="ddamfn")


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
        # He's initialiser: what one output sums are the taps of its own
        # channel, which Keras takes for a depthwise kernel's fan out.
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
