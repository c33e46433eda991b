"""Ghost modules: half of the channels convolved, half drawn from those."""

from __future__ import annotations

from typing import Any

from keras import layers

from kerafer.errors import UserError
from kerafer.models.convolution import apply_convolution, apply_norm


def apply_ghost_module(
    x: Any,
    filters: int,
    size: int = 1,
    ratio: int = 2,
    strides: int = 1,
    cheap_size: int = 3,
    activated: bool = True,
    name: str = "ghost",
) -> Any:
    """A convolution of which only a part is computed as one.

        primary = relu(norm(conv(x)))             filters / ratio channels
        cheap = relu(norm(depthwise(primary)))    the other channels
        output = concatenate(primary, cheap)

    Args:
        x: Of shape `(batch, height, width, channels)`.
        filters: Output channels, a multiple of `ratio`.
        size: Odd kernel size of the primary convolution. Defaults to 1.
        ratio: Of all channels to the primary ones, 2 or more. Defaults to 2.
        strides: Step of the primary convolution. Defaults to 1.
        cheap_size: Odd kernel size of the depthwise convolution. Defaults
            to 3.
        activated: Whether both parts end in a ReLU. Defaults to `True`.
        name: Begins the names of its layers. Defaults to `"ghost"`.

    Returns:
        Of shape `(batch, new_height, new_width, filters)`, where the new size
        is `(size - 1) // strides + 1`.

    Raises:
        UserError: For a ratio below 2, or filters that it does not divide.

    Reference:
        Han et al., "GhostNet: More Features from Cheap Operations", CVPR
        (2020), equations 3 and 4, figure 2.
    """
    if ratio < 2 or filters % ratio:
        raise UserError(
            "A ghost module's `ratio` is 2 or more and divides its `filters`. "
            f"Received: ratio={ratio}, filters={filters}."
        )
    primary = apply_convolution(
        x, filters // ratio, size, strides, f"{name}_primary"
    )
    if activated:
        primary = layers.ReLU(name=f"{name}_primary_relu")(primary)
    cheap = layers.DepthwiseConv2D(
        cheap_size,
        padding="same",
        depth_multiplier=ratio - 1,
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_cheap",
    )(primary)
    cheap = apply_norm(cheap, f"{name}_cheap_norm")
    if activated:
        cheap = layers.ReLU(name=f"{name}_cheap_relu")(cheap)
    return layers.Concatenate(name=f"{name}_concat")([primary, cheap])
