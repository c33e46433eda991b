"""The article's layers, for anyone's model."""

from kerafer.layers.morlet import Morlet
from kerafer.layers.multi_scale_conv2d import MultiScaleConv2D
from kerafer.layers.wavelet_channel_attention import WaveletChannelAttention
from kerafer.layers.wavelet_squeeze_excitation import WaveletSqueezeExcitation

__all__ = [
    "Morlet",
    "MultiScaleConv2D",
    "WaveletChannelAttention",
    "WaveletSqueezeExcitation",
]
