"""ResEmoteNet, a method that the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import SqueezeExcitation
from kerafer.models.ends import apply_classifier, apply_scaling
from kerafer.models.registry import register_model

# Three poolings by 2 leave one position of it.
_LEAST_SIZE = 8


@register_model
def res_emote_net(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """ResEmoteNet: three convolutions, SE, three residual blocks.

    Convolutions of 64, 128 and 256 filters, each with a max pooling, dropout
    behind the first two; squeeze-and-excitation; residual blocks of stride 2
    to 512, 1024 and 2048 channels; global average pooling and four dense
    layers. Made for 64 x 64; the 80,238,599 parameters (of colour pictures
    and 7 classes) are the same at any size.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 8 x 8.

    Raises:
        UserError: Where the picture is too small.

    Reference:
        Roy et al., "ResEmoteNet: Bridging Accuracy and Loss Reduction in
        Facial Emotion Recognition", IEEE Signal Processing Letters (2024).
    """
    height, width, _ = input_shape
    if min(height, width) < _LEAST_SIZE:
        raise UserError(
            f"res_emote_net needs pictures of at least {_LEAST_SIZE} x "
            f"{_LEAST_SIZE} pixels for its three poolings. "
            f"Received: {height} x {width}."
        )
    # === Functional Model ===
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    for index, filters in enumerate((64, 128, 256), start=1):
        x = _apply_convolution(x, filters, 3, 1, f"conv_{index}")
        x = layers.ReLU(name=f"conv_{index}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
        if index < 3:
            x = layers.Dropout(0.2, name=f"dropout_{index}")(x)
    x = SqueezeExcitation(ratio=16, name="attention")(x)
    for index, filters in enumerate((512, 1024, 2048), start=1):
        x = _apply_residual_block(x, filters, f"block_{index}")
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    for index, units in enumerate((1024, 512, 256), start=1):
        x = layers.Dense(units, name=f"dense_{index}")(x)
        x = layers.ReLU(name=f"dense_{index}_relu")(x)
        x = layers.Dropout(0.5, name=f"dense_{index}_dropout")(x)
    return keras.Model(
        inputs, apply_classifier(x, num_classes), name="res_emote_net"
    )


def _apply_residual_block(x: Any, filters: int, name: str) -> Any:
    shortcut = _apply_convolution(x, filters, 1, 2, f"{name}_shortcut")
    x = _apply_convolution(x, filters, 3, 2, f"{name}_conv_1")
    x = layers.ReLU(name=f"{name}_relu_1")(x)
    x = _apply_convolution(x, filters, 3, 1, f"{name}_conv_2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu_2")(x)


def _apply_convolution(
    x: Any, filters: int, size: int, strides: int, name: str
) -> Any:
    """Convolution with bias, padded by `size // 2` on each side, BatchNorm."""
    padding = "same" if strides == 1 else "valid"
    if strides > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_norm"
    )(x)
