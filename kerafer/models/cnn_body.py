"""What the five models of the CNN family share: AlexNet's body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.models.convolution import apply_norm
from kerafer.models.ends import apply_classifier, apply_scaling
from kerafer.models.multi_scale_stem import MultiScaleStem

Step = Callable[[Any], Any]


def build_cnn(
    name: str,
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: tuple[int, ...] | None,
    attention: Step | None,
    stem_strides: int | None,
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
) -> keras.Model:
    """AlexNet's body behind one of two stems, with a place for attention.

    Args:
        name: Of the model.
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        kernel_sizes: Of the article's multi-scale stem, one for each branch;
            `None` for AlexNet's own stem.
        attention: Applied behind the first pooling.
        stem_strides: Step of the stem. `None` takes the article's 4, and 2
            where the picture is too small for three poolings behind 4.
        dilation_rates, groups: Of the multi-scale stem, as in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.

    Raises:
        UserError: Where the picture is too small; names the least size.
    """
    # The multi-scale stem is padded as if its kernels were single pixels.
    kernel_size, padding = (11, 2) if kernel_sizes is None else (1, 0)
    stem_strides = _fitting_strides(
        name, input_shape[:2], kernel_size, padding, stem_strides
    )
    # === Functional Model ===
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    if kernel_sizes is None:
        x = layers.ZeroPadding2D(padding, name="stem_padding")(x)
        x = layers.Conv2D(
            64,
            kernel_size,
            strides=stem_strides,
            name="stem",
        )(x)
    else:
        stem = MultiScaleStem(kernel_sizes, dilation_rates, groups)
        x = stem.layer(input_shape[-1], strides=stem_strides, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(3, 2, name="pool_1")(x)
    if attention is not None:
        x = attention(x)
    x = _apply_convolution(x, 192, 5, "conv_2", normalise=True)
    x = layers.MaxPooling2D(3, 2, name="pool_2")(x)
    x = _apply_convolution(x, 384, 3, "conv_3")
    x = _apply_convolution(x, 256, 3, "conv_4")
    x = _apply_convolution(x, 256, 3, "conv_5", normalise=True)
    x = layers.MaxPooling2D(3, 2, name="pool_3")(x)
    x = layers.Flatten(name="flatten")(x)
    for index, rate in ((1, 0.5), (2, 0.3)):
        x = layers.Dense(4096, name=f"dense_{index}")(x)
        x = layers.ReLU(name=f"dense_{index}_relu")(x)
        x = layers.Dropout(rate, name=f"dropout_{index}")(x)
    return keras.Model(inputs, apply_classifier(x, num_classes), name=name)


def _apply_convolution(
    x: Any, filters: int, size: int, name: str, normalise: bool = False
) -> Any:
    x = layers.Conv2D(
        filters,
        size,
        padding="same",
        name=name,
    )(x)
    if normalise:
        x = apply_norm(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)


def _fitting_strides(
    name: str,
    size: tuple[int, int],
    kernel_size: int,
    padding: int,
    strides: int | None,
) -> int:
    """The stem's step for a picture of this size."""
    choices = (4, 2) if strides is None else (strides,)
    for choice in choices:
        least = next(
            n
            for n in range(1, 4096)
            if _last_pool(n, kernel_size, padding, choice) >= 1
        )
        if min(size) >= least:
            return choice
    raise UserError(
        f"{name} needs pictures of at least {least} x {least} pixels for its "
        f"three poolings behind a stem of stride {choices[-1]}. "
        f"Received: {size[0]} x {size[1]}."
    )


def _last_pool(size: int, kernel_size: int, padding: int, strides: int) -> int:
    size = (size + 2 * padding - kernel_size) // strides + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1 if size >= 3 else 0
    return size
