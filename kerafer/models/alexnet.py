"""The CNN family of the article: AlexNet, with MsC, wCA or both.

Five models side by side; what they share, `build_cnn`, stands below them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.models.attention import (
    AttentionOptions,
    WaveletOptions,
    make_attention,
)
from kerafer.models.convolution import apply_norm
from kerafer.models.ends import apply_classifier, apply_scaling
from kerafer.models.multi_scale_stem import MultiScaleStem, as_branches
from kerafer.models.registry import register_model

Step = Callable[[Any], Any]


@register_model
def cnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
) -> keras.Model:
    """AlexNet as the article has it, its baseline.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.
        stem_strides: Step of the stem. Defaults to 4, or 2 where the image
            is too small for it.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 1.
    """
    return build_cnn(
        "cnn",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=None,
        stem_strides=stem_strides,
    )


@register_model
def mcnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
) -> keras.Model:
    """AlexNet with a multi-scale stem (MCNN).

    Args:
        num_classes, input_shape, stem_strides: As for `cnn`.
        kernel_sizes: One odd kernel size, or one a branch of the stem.
            Defaults to `(3, 5, 7)`.
        dilation_rates, groups: As in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 3.
    """
    return build_cnn(
        "mcnn",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        attention=None,
        stem_strides=stem_strides,
    )


@register_model
def wca_cnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """AlexNet with wavelet channel attention (wCA-CNN).

    Args:
        num_classes, input_shape, stem_strides: As for `cnn`.
        **options: As in `kerafer.models.attention.AttentionOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 5.
    """
    return build_cnn(
        "wca_cnn",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=make_attention(**options),
        stem_strides=stem_strides,
    )


@register_model
def wca_mcnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """AlexNet with a multi-scale stem and wCA (wCA-MCNN).

    Args:
        num_classes, input_shape, stem_strides: As for `cnn`.
        kernel_sizes, dilation_rates, groups: As for `mcnn`.
        **options: As in `kerafer.models.attention.AttentionOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 8.
    """
    return build_cnn(
        "wca_mcnn",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        attention=make_attention(**options),
        stem_strides=stem_strides,
    )


@register_model
def wse_mcnn(
    num_classes: int,
    input_shape: tuple[int, int, int],
    stem_strides: int | None = None,
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    **options: Unpack[WaveletOptions],
) -> keras.Model:
    """The article's failed case: MCNN with wSE (wSE-MCNN).

    Args:
        num_classes, input_shape, stem_strides: As for `cnn`.
        kernel_sizes, dilation_rates, groups: As for `mcnn`.
        **options: As in `kerafer.models.attention.WaveletOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Failure case
        analysis".
    """
    return build_cnn(
        "wse_mcnn",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        attention=make_attention(attention="wse", **options),
        stem_strides=stem_strides,
    )


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
            where the image is too small for three poolings behind 4.
        dilation_rates, groups: Of the multi-scale stem, as in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.

    Raises:
        UserError: Where the image is too small; names the least size.
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
    """The stem's step for an image of this size."""
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
        f"{name} needs images of at least {least} x {least} pixels for its "
        f"three poolings behind a stem of stride {choices[-1]}. "
        f"Received: {size[0]} x {size[1]}."
    )


def _last_pool(size: int, kernel_size: int, padding: int, strides: int) -> int:
    size = (size + 2 * padding - kernel_size) // strides + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1 if size >= 3 else 0
    return size
