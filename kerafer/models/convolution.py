"""A convolution with BatchNorm, the step that most models repeat."""

from __future__ import annotations

from typing import Any

from keras import layers


def apply_convolution(
    x: Any,
    filters: int,
    size: int,
    strides: int,
    name: str,
    use_bias: bool = False,
) -> Any:
    """Convolve with a map padded by `size // 2` on each side, and normalise.

    Keras' own `"same"` pads a map of even size on one side alone where the
    step is above 1; here it is as in the published programs.

    Args:
        x: Of shape `(batch, height, width, channels)`.
        filters: Output channels.
        size: Of the kernel, odd; drawn as He et al. have it.
        strides: Step in both directions.
        name: Of the convolution. `<name>_norm` stands behind it, and
            `<name>_padding` before it where the step is above 1.
        use_bias: Whether the convolution has a bias, which the BatchNorm takes
            out again; for methods that were published with one. Defaults to
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
    """BatchNorm with PyTorch's numbers, which the published programs have.

    A tenth of each batch goes into the running statistics, and 1e-5 is added
    to the variance.

    Args:
        x: With the channels last.
        name: Of the layer.
    """
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
