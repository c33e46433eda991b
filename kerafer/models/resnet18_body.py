"""What the four models of the ResNet18 family share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from kerafer.layers import MultiScaleConv2D
from kerafer.models.ends import apply_classifier, apply_scaling

Step = Callable[[Any], Any]


def build_resnet18(
    name: str,
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: tuple[int, ...] | None,
    attention: Step | None,
) -> keras.Model:
    """ResNet18 behind one of two stems, with a place for attention.

    Args:
        name: Of the model.
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        kernel_sizes: Of the article's multi-scale stem, one for each branch,
            at stride 1: only that gives its 8.7320 G multiply-adds. `None` for
            ResNet's own stem.
        attention: Applied behind the first pooling.
    """
    # === Functional Model ===
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    if kernel_sizes is None:
        x = apply_convolution(x, 64, 7, 2, "stem")
    else:
        x = MultiScaleConv2D(
            64,
            kernel_sizes=kernel_sizes,
            use_bias=False,
            kernel_initializer="he_normal",
            name="stem",
        )(x)
        x = _apply_norm(x, "stem_norm")
    x = layers.ReLU(name="stem_relu")(x)
    # Behind ReLU a border of zeros is as good as one of minus infinity.
    x = layers.ZeroPadding2D(1, name="pool_1_padding")(x)
    x = layers.MaxPooling2D(3, 2, name="pool_1")(x)
    if attention is not None:
        x = attention(x)
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in (1, 2):
            strides = 2 if stage > 1 and block == 1 else 1
            x = apply_basic_block(
                x, filters, strides, f"layer_{stage}_block_{block}"
            )
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return keras.Model(inputs, apply_classifier(x, num_classes), name=name)


def apply_basic_block(x: Any, filters: int, strides: int, name: str) -> Any:
    """Two 3x3 convolutions with a shortcut, He et al. (2016), figure 2."""
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = apply_convolution(x, filters, 1, strides, f"{name}_shortcut")
    x = apply_convolution(x, filters, 3, strides, f"{name}_conv_1")
    x = layers.ReLU(name=f"{name}_relu_1")(x)
    x = apply_convolution(x, filters, 3, 1, f"{name}_conv_2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu_2")(x)


def apply_convolution(
    x: Any, filters: int, size: int, strides: int, name: str
) -> Any:
    """Convolution without bias, padded by `size // 2` on each side, and
    BatchNorm."""
    padding = "same" if strides == 1 else "valid"
    if strides > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return _apply_norm(x, f"{name}_norm")


def _apply_norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
