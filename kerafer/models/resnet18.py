"""The ResNet18 family of the article: ResNet18, with MsC, wCA or both.

Four models side by side; what they share, `build_resnet18`, stands below them,
in parts that other models are made of too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.models.attention import AttentionOptions, make_attention
from kerafer.models.convolution import apply_convolution, apply_norm
from kerafer.models.ends import apply_classifier, apply_scaling
from kerafer.models.multi_scale_stem import MultiScaleStem, as_branches
from kerafer.models.registry import register_model

Step = Callable[[Any], Any]


@register_model
def resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """ResNet18, the article's second baseline.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 2.
    """
    return build_resnet18(
        "resnet18",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=None,
    )


@register_model
def msc_resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    stem: str = "full",
) -> keras.Model:
    """ResNet18 with a multi-scale stem (MsC-ResNet18).

    Args:
        num_classes, input_shape: As for `resnet18`.
        kernel_sizes: One odd kernel size, or one a branch of the stem.
            Defaults to `(3, 5, 7)`.
        dilation_rates, groups: As in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.
        stem: `"full"` or `"stride_2"`, as in
            `build_resnet18`. Defaults to `"full"`, the article's.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 4.
    """
    return build_resnet18(
        "msc_resnet18",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        stem=stem,
        attention=None,
    )


@register_model
def wca_resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """ResNet18 with wavelet channel attention (wCA-ResNet18).

    Args:
        num_classes, input_shape: As for `resnet18`.
        **options: As in `kerafer.models.attention.AttentionOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 6.
    """
    return build_resnet18(
        "wca_resnet18",
        num_classes,
        input_shape,
        kernel_sizes=None,
        attention=make_attention(**options),
    )


@register_model
def msc_wca_resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    stem: str = "full",
    **options: Unpack[AttentionOptions],
) -> keras.Model:
    """ResNet18 with a multi-scale stem and wCA (MsC-wCA-ResNet18).

    Args:
        num_classes, input_shape: As for `resnet18`.
        kernel_sizes, dilation_rates, groups, stem: As for `msc_resnet18`.
        **options: As in `kerafer.models.attention.AttentionOptions`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), Fig. 9.
    """
    return build_resnet18(
        "msc_wca_resnet18",
        num_classes,
        input_shape,
        kernel_sizes=as_branches(kernel_sizes),
        dilation_rates=dilation_rates,
        groups=groups,
        stem=stem,
        attention=make_attention(**options),
    )


def build_resnet18(
    name: str,
    num_classes: int,
    input_shape: tuple[int, int, int],
    kernel_sizes: tuple[int, ...] | None,
    attention: Step | None,
    dilation_rates: int | Sequence[int] | None = None,
    groups: int = 1,
    stem: str = "full",
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
        dilation_rates, groups: Of the multi-scale stem, as in
            `kerafer.models.multi_scale_stem.MultiScaleStem`.
        stem: `"full"`, the article's: every branch at stride 1, then the first
            pooling, which halves all. Or `"stride_2"`: the branch that sees
            least far (3x3) at stride 1 and pooled as before, so that fine
            detail is seen before anything is left out; the others at stride
            2 and not pooled; both concatenated. The body's input has the same
            size; of 3, 5, 7 the stem is left with a third of the multiply-adds
            (0.2649 G of 0.7996 G at 224), without the norm's. Defaults to
            `"full"`.

    Raises:
        UserError: For another stem, or `"stride_2"` with one branch.
    """
    if stem not in ("full", "stride_2"):
        raise UserError(f"`stem` is full or stride_2. Received: stem={stem}.")
    # === Functional Model ===
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    if kernel_sizes is None:
        x = apply_stem(x)
    else:
        scales = MultiScaleStem(kernel_sizes, dilation_rates, groups)
        if stem == "full":
            x = _apply_first_pool(_apply_scales(x, scales, 1, "stem"))
        else:
            finest, others = scales.apart()
            fine = _apply_scales(x, finest, 1, "stem_fine")
            wide = _apply_scales(x, others, 2, "stem")
            x = layers.Concatenate(name="stem_scales")(
                [_apply_first_pool(fine), wide]
            )
    if attention is not None:
        x = attention(x)
    x = apply_stages(x, (64, 128, 256, 512))
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return keras.Model(inputs, apply_classifier(x, num_classes), name=name)


def apply_stem(x: Any) -> Any:
    """ResNet's own stem: 7x7 to 64 channels, then pooled, each of stride 2."""
    x = apply_convolution(x, 64, 7, 2, "stem")
    return _apply_first_pool(layers.ReLU(name="stem_relu")(x))


def apply_stages(x: Any, widths: Sequence[int]) -> Any:
    """Two basic blocks for each width; all but the first halve the map."""
    for stage, filters in enumerate(widths, start=1):
        for block in (1, 2):
            strides = 2 if stage > 1 and block == 1 else 1
            x = apply_basic_block(
                x, filters, strides, f"layer_{stage}_block_{block}"
            )
    return x


def _apply_scales(x: Any, stem: MultiScaleStem, strides: int, name: str) -> Any:
    x = stem.layer(
        x.shape[-1],
        strides=strides,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = apply_norm(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)


def _apply_first_pool(x: Any) -> Any:
    # Behind ReLU a border of zeros is as good as one of minus infinity.
    x = layers.ZeroPadding2D(1, name="pool_1_padding")(x)
    return layers.MaxPooling2D(3, 2, name="pool_1")(x)


def apply_basic_block(
    x: Any,
    filters: int,
    strides: int,
    name: str,
    attention: Step | None = None,
    use_bias: bool = False,
) -> Any:
    """Two 3x3 convolutions, attention if any, and a shortcut around them.

    Args:
        x: Of shape `(batch, height, width, channels)`.
        filters: Output channels. The shortcut is a 1x1 convolution where they
            are other than the input's, or the step is above 1.
        strides: Step of the first convolution and of the shortcut.
        name: Begins the names of its layers.
        attention: Applied before the sum. Defaults to none.
        use_bias: As in `kerafer.models.convolution.apply_convolution`.

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
