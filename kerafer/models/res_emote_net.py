"""ResEmoteNet, which the article compares with."""

from __future__ import annotations

import keras
from keras import layers

from kerafer.layers import SqueezeExcitation
from kerafer.models.blocks import (
    apply_basic_block,
    apply_convolution,
    apply_scaling,
    build_classifier,
)
from kerafer.models.registry import register_model


@register_model(
    recommended_size=(64, 64),
    # Three poolings by 2 leave one position.
    least_size=(8, "its three poolings"),
)
def res_emote_net(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """Build ResEmoteNet: three convolutions, SE, three residual blocks.

    Convolutions of 64, 128 and 256 filters, each with max pooling, and dropout
    after the first two; squeeze-and-excitation; residual blocks of stride 2
    to 512, 1024 and 2048 channels; global average pooling and four dense
    layers. Made for 64 x 64; the 80,238,599 parameters (colour images, 7
    classes) are the same at any size.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 8 x 8.

    Raises:
        UserError: If the image is too small.

    Reference:
        Roy et al., "ResEmoteNet: Bridging Accuracy and Loss Reduction in
        Facial Emotion Recognition", IEEE Signal Processing Letters (2024).
    """
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    for index, filters in enumerate((64, 128, 256), start=1):
        x = apply_convolution(x, filters, 3, 1, f"conv_{index}", use_bias=True)
        x = layers.ReLU(name=f"conv_{index}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
        if index < 3:
            x = layers.Dropout(0.2, name=f"dropout_{index}")(x)
    x = SqueezeExcitation(ratio=16, name="attention")(x)
    for index, filters in enumerate((512, 1024, 2048), start=1):
        x = apply_basic_block(x, filters, 2, f"block_{index}", use_bias=True)
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    for index, units in enumerate((1024, 512, 256), start=1):
        x = layers.Dense(units, name=f"dense_{index}")(x)
        x = layers.ReLU(name=f"dense_{index}_relu")(x)
        x = layers.Dropout(0.5, name=f"dense_{index}_dropout")(x)
    return build_classifier("res_emote_net", inputs, x, num_classes)
