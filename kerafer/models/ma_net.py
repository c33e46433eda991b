"""MA-Net, which the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from kerafer.layers import ChannelSlice, ConvolutionalBlockAttention
from kerafer.models.blocks import (
    apply_basic_block,
    apply_convolution,
    apply_resnet_stem,
    apply_scaling,
    apply_stages,
)
from kerafer.models.losses import (
    ClassLoss,
    Objective,
    Outputs,
    weighted_mean,
)
from kerafer.models.registry import register_model


def _two_branches(class_loss: ClassLoss) -> Objective:
    shares = {"local_logits": 0.6, "global_logits": 0.4}

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        total = 0.0
        for layer, share in shares.items():
            losses = class_loss(labels, ops.softmax(outputs[layer]))
            total += share * weighted_mean(losses, weights)
        return total

    return Objective(loss, tuple(shares))


@register_model(
    objective=_two_branches,
    recommended_size=(224, 224),
    # Three halvings leave 2 x 2 positions, one for each quadrant.
    least_size=(9, "a map of four quadrants after its three halvings"),
)
def ma_net(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """Build MA-Net: a branch for four parts of the face, one for the whole.

    Both start with ResNet18 up to its second stage, 28 x 28 x 128 for 224 x
    224. The local branch divides this map into four quadrants, each with four
    basic blocks with CBAM and its own weights, then joins and averages them.
    The global branch has four multi-scale blocks. Each branch has a dense
    layer, `local_logits` and `global_logits`, and the prediction is
    softmax(0.6 local + 0.4 global). The published loss mixes the two
    cross-entropies in the same way.

    Made for 224 x 224; the 50,547,214 parameters (colour images, 7 classes)
    are the same at any size. If a side of the map is odd, the middle row or
    column belongs to both halves, so that all quadrants have one size.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 9 x 9.

    Raises:
        UserError: If the image is too small.

    Reference:
        Zhao et al., "Learning Deep Global Multi-Scale and Local Attention
        Features for Facial Expression Recognition in the Wild", IEEE
        Transactions on Image Processing 30, 6544 (2021).
    """
    inputs = keras.Input(input_shape, name="image")
    x = apply_stages(apply_resnet_stem(apply_scaling(inputs)), (64, 128))
    weighed = []
    for name, share, features in (
        ("local", 0.6, _apply_local_branch(x)),
        ("global", 0.4, _apply_global_branch(x)),
    ):
        logits = layers.GlobalAveragePooling2D(name=f"{name}_average_pool")(
            features
        )
        logits = layers.Dense(
            num_classes, dtype="float32", name=f"{name}_logits"
        )(logits)
        weighed.append(
            layers.Rescaling(share, dtype="float32", name=f"{name}_share")(
                logits
            )
        )
    x = layers.Add(dtype="float32", name="logits")(weighed)
    x = layers.Softmax(dtype="float32", name="predictions")(x)
    return keras.Model(inputs, x, name="ma_net")


def _apply_local_branch(x: Any) -> Any:
    rows = []
    for upper in (True, False):
        row = []
        for left in (True, False):
            name = f"{'upper' if upper else 'lower'}_"
            name += "left" if left else "right"
            y = _apply_quadrant(x, upper, left, name)
            for block, (filters, strides) in enumerate(
                ((256, 2), (256, 1), (512, 1), (512, 1)), start=1
            ):
                prefix = f"{name}_block_{block}"
                attention = ConvolutionalBlockAttention(
                    ratio=16,
                    use_bias=True,
                    use_norm=True,
                    name=f"{prefix}_attention",
                )
                y = apply_basic_block(y, filters, strides, prefix, attention)
            row.append(y)
        rows.append(
            layers.Concatenate(axis=2, name=f"{'upper' if upper else 'lower'}")(
                row
            )
        )
    return layers.Concatenate(axis=1, name="quadrants")(rows)


def _apply_quadrant(x: Any, upper: bool, left: bool, name: str) -> Any:
    """A quarter of a map; the larger half of an odd side."""
    cropping = tuple(
        (0, side // 2) if first else (side // 2, 0)
        for first, side in zip((upper, left), x.shape[1:3], strict=True)
    )
    return layers.Cropping2D(cropping, name=name)(x)


def _apply_global_branch(x: Any) -> Any:
    for block, (filters, strides) in enumerate(
        ((256, 2), (256, 1), (512, 2), (512, 1)), start=1
    ):
        x = _apply_multi_scale_block(
            x, filters, strides, f"global_block_{block}"
        )
    return x


def _apply_multi_scale_block(
    x: Any, filters: int, strides: int, name: str
) -> Any:
    """Convolve quarters of the channels in turn, forwards and backwards.

    The convolution of a quarter also takes the output of the previous one, so
    its field is larger by one kernel.
    """
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = apply_convolution(x, filters, 1, strides, f"{name}_shortcut")
    x = apply_convolution(x, filters, 3, strides, f"{name}_conv")
    x = layers.ReLU(name=f"{name}_relu_1")(x)
    width = filters // 4
    quarters = [
        ChannelSlice(start, start + width, name=f"{name}_quarter_{index}")(x)
        for index, start in enumerate(range(0, filters, width), start=1)
    ]
    forward = _apply_chain(quarters, f"{name}_forward")
    backward = _apply_chain(quarters[::-1], f"{name}_backward")[::-1]
    x = layers.Add(name=f"{name}_add")(
        [
            layers.Concatenate(name=f"{name}_forward")(forward),
            layers.Concatenate(name=f"{name}_backward")(backward),
            shortcut,
        ]
    )
    return layers.ReLU(name=f"{name}_relu_2")(x)


def _apply_chain(groups: list[Any], name: str) -> list[Any]:
    outputs: list[Any] = []
    for index, x in enumerate(groups, start=1):
        if outputs:
            before = layers.ReLU(name=f"{name}_{index}_relu")(outputs[-1])
            x = layers.Add(name=f"{name}_{index}_add")([before, x])
        outputs.append(
            apply_convolution(x, x.shape[-1], 3, 1, f"{name}_{index}")
        )
    return outputs
