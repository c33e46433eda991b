"""Steps that several models share, from scaling to the classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

Step = Callable[[Any], Any]


def apply_scaling(inputs: Any) -> Any:
    """Map image values 0..255 to -1..1, in float32 under every policy."""
    return layers.Rescaling(
        1 / 127.5, offset=-1.0, dtype="float32", name="scaling"
    )(inputs)


def build_classifier(
    name: str, inputs: Any, x: Any, num_classes: int
) -> keras.Model:
    """End a model with a dense layer and softmax, in float32."""
    x = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    x = layers.Softmax(dtype="float32", name="predictions")(x)
    return keras.Model(inputs, x, name=name)


def apply_convolution(
    x: Any,
    filters: int,
    size: int,
    strides: int,
    name: str,
    use_bias: bool = False,
) -> Any:
    """Convolve with padding of `size // 2` on each side, and normalize.

    With strides above 1, `"same"` of Keras pads maps of even size on one side
    only. This pads as the published programs do.

    Args:
        x: Of shape `(batch, height, width, channels)`.
        filters: Output channels.
        size: Of the kernel, odd.
        strides: Step in both directions.
        name: Of the convolution. The BatchNorm is named `<name>_norm`, the
            padding `<name>_padding`.
        use_bias: Whether the convolution has a bias, which the BatchNorm
            cancels; for methods that were published with one. Default:
            `False`.

    Returns:
        Of shape `(batch, new_height, new_width, filters)`, where a new side is
        `(side - 1) // strides + 1`.
    """
    padding = "same" if strides == 1 else "valid"
    if strides > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return apply_norm(x, f"{name}_norm")


def apply_norm(x: Any, name: str) -> Any:
    """Normalize with PyTorch's settings, which the published programs use.

    A tenth of each batch goes into the running statistics, and 1e-5 is added
    to the variance.
    """
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def apply_basic_block(
    x: Any,
    filters: int,
    strides: int,
    name: str,
    attention: Step | None = None,
    use_bias: bool = False,
) -> Any:
    """Apply two 3x3 convolutions with a shortcut around them.

    Args:
        x: Of shape `(batch, height, width, channels)`.
        filters: Output channels. The shortcut is a 1x1 convolution if they
            differ from the input's, or the step is above 1.
        strides: Step of the first convolution and of the shortcut.
        name: Prefix of the names of its layers.
        attention: Applied before the sum. Default: none.
        use_bias: As in `apply_convolution`.

    Reference:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        figure 2.
    """
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = apply_convolution(
            x, filters, 1, strides, f"{name}_shortcut", use_bias
        )
    x = apply_convolution(x, filters, 3, strides, f"{name}_conv_1", use_bias)
    x = layers.ReLU(name=f"{name}_relu_1")(x)
    x = apply_convolution(x, filters, 3, 1, f"{name}_conv_2", use_bias)
    if attention is not None:
        x = attention(x)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu_2")(x)


def apply_resnet_stem(x: Any) -> Any:
    """Apply ResNet's stem: 7x7 to 64 channels, then pooling, both stride 2."""
    x = apply_convolution(x, 64, 7, 2, "stem")
    return apply_first_pool(layers.ReLU(name="stem_relu")(x))


def apply_first_pool(x: Any) -> Any:
    """Halve a map by 3x3 max pooling, padded on each side."""
    # After ReLU, a border of zeros is as good as one of minus infinity.
    x = layers.ZeroPadding2D(1, name="pool_1_padding")(x)
    return layers.MaxPooling2D(3, 2, name="pool_1")(x)


def apply_stages(x: Any, widths: Sequence[int]) -> Any:
    """Apply two basic blocks per width; all but the first halve the map."""
    for stage, filters in enumerate(widths, start=1):
        for block in (1, 2):
            strides = 2 if stage > 1 and block == 1 else 1
            x = apply_basic_block(
                x, filters, strides, f"layer_{stage}_block_{block}"
            )
    return x
