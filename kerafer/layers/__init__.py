"""Layers of the article, and other attention layers to compare with."""

from kerafer.layers.channel_attention import ChannelAttention
from kerafer.layers.channel_slice import ChannelSlice
from kerafer.layers.convolutional_block_attention import (
    ConvolutionalBlockAttention,
)
from kerafer.layers.coordinate_attention import CoordinateAttention
from kerafer.layers.dual_direction_head import DualDirectionHead
from kerafer.layers.efficient_channel_attention import (
    EfficientChannelAttention,
)
from kerafer.layers.morlet import Morlet
from kerafer.layers.multi_scale_conv2d import MultiScaleConv2D
from kerafer.layers.squeeze_excitation import SqueezeExcitation
from kerafer.layers.wavelet_channel_attention import (
    WaveletChannelAttention,
    adapt_wavelets,
)
from kerafer.layers.wavelet_squeeze_excitation import WaveletSqueezeExcitation

__all__ = [
    "ChannelAttention",
    "ChannelSlice",
    "ConvolutionalBlockAttention",
    "CoordinateAttention",
    "DualDirectionHead",
    "EfficientChannelAttention",
    "Morlet",
    "MultiScaleConv2D",
    "SqueezeExcitation",
    "WaveletChannelAttention",
    "WaveletSqueezeExcitation",
    "adapt_wavelets",
]
