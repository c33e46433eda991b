"""MLCL-Net with a classifier, which the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kerafer.models.blocks import (
    apply_basic_block,
    apply_convolution,
    apply_scaling,
    build_classifier,
)
from kerafer.models.registry import register_model


@register_model(
    # Two halvings leave 2 x 2 positions for the coarsest scale.
    least_size=(5, "its three scales"),
)
def mlcl_net(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """Build MLCL-Net's encoder and pyramid with a classifier.

    Residual stages of 16, 32 and 64 channels at full, half and quarter size.
    Each has a multiscale local contrast learning (MLCL) module: three branches
    of kernels 1, 3 and 5, each followed by a 3x3 kernel with the same number
    as dilation. Then a pyramid of 64 channels from the coarsest scale up,
    global average pooling and a dense layer.

    MLCL-Net segments small targets in infrared images. The article (Liu et
    al., 2025) does not say which classifier it added; pooling and one dense
    layer are this project's choice, so its scores are not closely comparable.
    With a 1x1 convolution to one channel instead of the classifier it has the
    657,249 parameters of the published network; with 7 classes it has 657,639.
    Whether a ReLU follows the 1x1 convolutions of module and pyramid is not
    known either; there is none here.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`, at least 5 x 5. Half an odd
            size is rounded up, and the excess is cropped after doubling.

    Raises:
        UserError: If the image is too small.

    Reference:
        Yu et al., "Infrared small target detection based on multiscale local
        contrast learning networks", Infrared Physics & Technology 123, 104107
        (2022).
    """
    inputs = keras.Input(input_shape, name="image")
    x = apply_scaling(inputs)
    for index in (1, 2):
        x = apply_convolution(x, 16, 3, 1, f"stem_{index}", use_bias=True)
        x = layers.ReLU(name=f"stem_{index}_relu")(x)
    scales = []
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in (1, 2, 3):
            name = f"stage_{stage}_block_{block}"
            if stage > 1 and block == 1:
                x = _apply_down_block(x, filters, name)
            else:
                x = apply_basic_block(x, filters, 1, name, use_bias=True)
        scales.append(_apply_mlcl(x, f"mlcl_{stage}"))
    fine, middle, coarse = (
        layers.Conv2D(64, 1, name=f"pyramid_{stage}")(scale)
        for stage, scale in enumerate(scales, start=1)
    )
    x = _apply_doubled_sum(coarse, middle, "pyramid_2")
    x = _apply_doubled_sum(x, fine, "pyramid_1")
    x = layers.Conv2D(64, 1, name="pyramid")(x)
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return build_classifier("mlcl_net", inputs, x, num_classes)


def _apply_mlcl(x: Any, name: str) -> Any:
    """Compare each place with those 1, 3 and 5 pixels around it."""
    channels = x.shape[-1]
    branches = []
    for size in (1, 3, 5):
        branch = f"{name}_branch_{size}"
        y = _apply_rectified(x, channels, size, 1, f"{branch}_local")
        branches.append(
            _apply_rectified(y, channels, 3, size, f"{branch}_dilated")
        )
    x = layers.Concatenate(name=f"{name}_concatenate")(branches)
    return layers.Conv2D(channels, 1, name=f"{name}_merge")(x)


def _apply_down_block(x: Any, filters: int, name: str) -> Any:
    """Halve the size, rounded up, by pooling and by a stride of 2."""
    side = apply_convolution(x, filters, 3, 2, f"{name}_side", use_bias=True)
    side = layers.ReLU(name=f"{name}_side_relu")(side)
    x = apply_convolution(x, filters, 3, 1, f"{name}_conv_1", use_bias=True)
    x = layers.ReLU(name=f"{name}_relu_1")(x)
    odd = tuple((0, size % 2) for size in x.shape[1:3])
    if odd != ((0, 0), (0, 0)):
        # After ReLU, a border of zeros is as good as one of minus infinity.
        x = layers.ZeroPadding2D(odd, name=f"{name}_pool_padding")(x)
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    x = apply_convolution(x, filters, 3, 1, f"{name}_conv_2", use_bias=True)
    x = layers.Add(name=f"{name}_add")([x, side])
    return layers.ReLU(name=f"{name}_relu_2")(x)


def _apply_doubled_sum(coarse: Any, fine: Any, name: str) -> Any:
    """Add the coarse scale, doubled and cropped, to the fine one."""
    x = layers.UpSampling2D(
        2, interpolation="bilinear", name=f"{name}_doubling"
    )(coarse)
    excess = tuple(
        (0, given - wanted)
        for given, wanted in zip(x.shape[1:3], fine.shape[1:3], strict=True)
    )
    if excess != ((0, 0), (0, 0)):
        x = layers.Cropping2D(excess, name=f"{name}_cropping")(x)
    return layers.Add(name=f"{name}_add")([x, fine])


def _apply_rectified(
    x: Any, filters: int, size: int, dilation_rate: int, name: str
) -> Any:
    x = layers.Conv2D(
        filters,
        size,
        dilation_rate=dilation_rate,
        padding="same",
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return layers.ReLU(name=f"{name}_relu")(x)
