"""Attention layers by name."""

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
    """Options of models with wSE, as in `WaveletChannelAttention`."""

    ratio: int
    wavelet: str
    center_frequency: float
    per_channel: bool
    trainable_wavelet: bool
    normalize: bool
    adapt: bool
    learning_rate_multiplier: float


class AttentionOptions(WaveletOptions, total=False):
    """Options of models with any attention.

    Args:
        attention: `"wca"`, `"wse"`, `"se"`, `"eca"`, `"cbam"`, `"channel"`
            (CBAM's channel attention: wCA with ReLU instead of the wavelet) or
            `"coordinate"`. Default: `"wca"`.
        ratio, shared, wavelet, center_frequency, per_channel,
        trainable_wavelet, fusion, normalize, adapt,
        learning_rate_multiplier: As in the layer of that name, with its
            defaults.
    """

    attention: str
    shared: bool
    fusion: str


def make_attention(
    name: str = "attention", /, **options: Unpack[AttentionOptions]
) -> keras.layers.Layer:
    """Make an attention layer.

    Args:
        name: Of the layer. Default: `"attention"`.
        **options: Those of `AttentionOptions` that the layer has.

    Raises:
        UserError: If the attention is unknown or does not have an option.
        ValueError: If the layer refuses a value.
    """
    kind = options.pop("attention", "wca")
    if kind not in _ATTENTIONS:
        raise UserError(
            f"Unknown attention: {kind}. Choose one of "
            f"{', '.join(_ATTENTIONS)}."
        )
    layer = _ATTENTIONS[kind]
    parameters = inspect.signature(layer.__init__).parameters
    known = [n for n in AttentionOptions.__annotations__ if n in parameters]
    unknown = [f"{n}={v}" for n, v in options.items() if n not in known]
    if unknown:
        raise UserError(
            f"attention={kind} does not have {', '.join(unknown)}. Its options "
            f"are {', '.join(known) or 'none'}."
        )
    given: dict[str, Any] = dict(options)
    return layer(**given, name=name)
