"""The attention layer of a model, by name."""

from __future__ import annotations

import inspect
from typing import Any, TypedDict, Unpack

import keras

from kerafer.errors import UserError
from kerafer.layers import (
    ChannelAttention,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    EfficientChannelAttention,
    SqueezeExcitation,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)

_ATTENTIONS: dict[str, type[keras.layers.Layer]] = {
    "wca": WaveletChannelAttention,
    "wse": WaveletSqueezeExcitation,
    "se": SqueezeExcitation,
    "eca": EfficientChannelAttention,
    "cbam": ConvolutionalBlockAttention,
    "channel": ChannelAttention,
    "coordinate": CoordinateAttention,
}


class WaveletOptions(TypedDict, total=False):
    """What a builder with a wavelet attention takes.

    Args:
        ratio, wavelet, center_frequency, per_channel, trainable_wavelet: As
            in `kerafer.layers.WaveletChannelAttention`.
    """

    ratio: int
    wavelet: str
    center_frequency: float
    per_channel: bool
    trainable_wavelet: bool


class AttentionOptions(WaveletOptions, total=False):
    """What a builder with an attention of choice takes.

    Args:
        attention: `"wca"`, `"wse"`, `"se"`, `"eca"`, `"cbam"`, `"channel"`
            (CBAM's channel part: wCA with ReLU for the wavelet) or
            `"coordinate"`. Defaults to `"wca"`.
        ratio, shared, wavelet, center_frequency, per_channel,
        trainable_wavelet, fusion: As in the layer of that name, with its
            defaults.
    """

    attention: str
    shared: bool
    fusion: str


def make_attention(
    name: str = "attention", /, **options: Unpack[AttentionOptions]
) -> keras.layers.Layer:
    """The attention layer of a model.

    Args:
        name: Of the layer. Defaults to `"attention"`.
        **options: Those of `AttentionOptions`. What the chosen layer does not
            have may stand at wCA's default.

    Raises:
        UserError: For an unknown name, or an option that the layer does not
            have.
        ValueError: For a value that the layer refuses.
    """
    kind = options.pop("attention", "wca")
    if kind not in _ATTENTIONS:
        raise UserError(
            f"`attention` is one of {', '.join(_ATTENTIONS)}. "
            f"Received: attention={kind}."
        )
    layer = _ATTENTIONS[kind]
    defaults = inspect.signature(WaveletChannelAttention.__init__).parameters
    parameters = inspect.signature(layer.__init__).parameters
    known = [n for n in AttentionOptions.__annotations__ if n in parameters]
    strange = [
        f"{option}={value}"
        for option, value in options.items()
        if option not in known
        and (option not in defaults or value != defaults[option].default)
    ]
    if strange:
        raise UserError(
            f"The options of attention={kind} are {', '.join(known) or 'none'}."
            f" Received: {', '.join(strange)}."
        )
    given: dict[str, Any] = {
        option: value for option, value in options.items() if option in known
    }
    return layer(**given, name=name)
