"""What each kind of layer computes for one image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import (
    ChannelAttention,
    ChannelSlice,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    DualDirectionHead,
    EfficientChannelAttention,
    MultiScaleConv2D,
    WaveletChannelAttention,
)
from kerafer.layers.gate import Gate
from kerafer.layers.morlet import Morlet


class Cost(NamedTuple):
    """What one layer computes for one image.

    Args:
        macs: Multiply-adds of convolutions and dense layers.
        paper: What the article's counting adds to them.
        others: Floating-point operations that are no such multiply-adds.
    """

    macs: int = 0
    paper: int = 0
    others: int = 0


def layer_cost(layer: layers.Layer) -> Cost:
    """Count what a layer computes.

    Args:
        layer: Of a functional model with a defined input size; a model in it
            counts as all of its layers.

    Raises:
        UserError: For a layer whose cost is not known here.
    """
    if isinstance(layer, keras.Model):
        costs = [layer_cost(inner) for inner in layer.layers]
        return Cost(*(sum(column) for column in zip(*costs, strict=True)))
    for kind, rule in _RULES.items():
        if isinstance(layer, kind):
            return rule(layer)
    raise UserError(
        f"The cost of the layer {layer.name} ({type(layer).__name__}) is not "
        "known; kerafer.evaluation.complexity has a rule for each kind."
    )


# === Operations for one number ===

_PSI = 8  # subtract, divide, times, cosine, square, times, exponential, times
_SIGMOID = 4
_SOFTMAX = 3
_HARD_SWISH = 4  # add, clip, divide, times
_ACTIVATIONS = {
    "linear": 0,
    "relu": 1,
    "relu6": 2,
    "sigmoid": _SIGMOID,
    "softmax": _SOFTMAX,
    "silu": _SIGMOID + 1,
    "hard_silu": _HARD_SWISH,
    "hard_swish": _HARD_SWISH,
}


def _activation(function: Any, name: str) -> int:
    given = keras.activations.serialize(function)
    if given not in _ACTIVATIONS:
        raise UserError(
            f"The cost of the activation {given}, at {name}, is not known. "
            f"Known are {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[given]


# === Convolutions, dense layers, BatchNorm ===


def _outputs(layer: layers.Layer) -> int:
    return math.prod(layer.output.shape[1:])


def _with_bias(layer: Any, macs: int) -> Cost:
    """With the bias and the activation that the layer brings along."""
    each = int(layer.use_bias) + _activation(layer.activation, layer.name)
    return Cost(macs, 0, each * _outputs(layer))


def _convolution(layer: layers.Conv2D) -> Cost:
    return _with_bias(
        layer, _outputs(layer) * math.prod(layer.kernel.shape[:-1])
    )


def _depthwise(layer: layers.DepthwiseConv2D) -> Cost:
    return _with_bias(
        layer, _outputs(layer) * math.prod(layer.kernel.shape[:2])
    )


def _multi_scale(layer: MultiScaleConv2D) -> Cost:
    each = _outputs(layer) // len(layer.kernels)
    taps = sum(math.prod(kernel.shape[:-1]) for kernel in layer.kernels)
    return _with_bias(layer, each * taps)


def _dense(layer: layers.Dense) -> Cost:
    return _with_bias(layer, _outputs(layer) * layer.kernel.shape[0])


def _norm(layer: layers.BatchNormalization) -> Cost:
    affine = layer.scale and layer.center
    return Cost(0, (4 if affine else 2) * _outputs(layer), 2 * _outputs(layer))


# === Pools and plain operations ===


def _global_average(layer: layers.Layer) -> Cost:
    _, height, width, channels = layer.input.shape
    pixels = height * width + 1
    return Cost(0, pixels * channels, pixels * channels)


def _global_maximum(layer: layers.Layer) -> Cost:
    _, height, width, channels = layer.input.shape
    return Cost(others=(height * width - 1) * channels)


def _average_pool(layer: layers.AveragePooling2D) -> Cost:
    return Cost(others=math.prod(layer.pool_size) * _outputs(layer))


def _max_pool(layer: layers.MaxPooling2D) -> Cost:
    return Cost(others=(math.prod(layer.pool_size) - 1) * _outputs(layer))


def _upsampling(layer: layers.UpSampling2D) -> Cost:
    # Two products and a sum along one axis, then along the other; a repeated
    # number costs nothing.
    each = {"nearest": 0, "bilinear": 6}.get(layer.interpolation)
    if each is None:
        raise UserError(
            f"The cost of the interpolation {layer.interpolation}, at "
            f"{layer.name}, is not known. Known are nearest, bilinear."
        )
    return Cost(others=each * _outputs(layer))


def _relu(layer: layers.ReLU) -> Cost:
    bounds = 1 if layer.max_value is None else 2
    return Cost(others=bounds * _outputs(layer))


def _activation_layer(layer: layers.Activation) -> Cost:
    each = _activation(layer.activation, layer.name)
    return Cost(others=each * _outputs(layer))


def _combination(layer: layers.Layer) -> Cost:
    return Cost(others=(len(layer.input) - 1) * _outputs(layer))


def _average(layer: layers.Average) -> Cost:
    return Cost(others=len(layer.input) * _outputs(layer))


def _each_output(operations: int) -> Callable[[layers.Layer], Cost]:
    return lambda layer: Cost(others=operations * _outputs(layer))


# === Attentions ===


def _sizes(layer: Gate) -> tuple[int, int, int]:
    """Height, width and channels of an attention's input."""
    if layer.data_format == "channels_last":
        return layer.input.shape[1:]
    _, channels, height, width = layer.input.shape
    return height, width, channels


def _channel(layer: ChannelAttention | WaveletChannelAttention) -> Cost:
    return _channel_cost(layer, *_sizes(layer))


def _channel_cost(
    layer: ChannelAttention | WaveletChannelAttention,
    height: int,
    width: int,
    channels: int,
) -> Cost:
    if isinstance(layer, WaveletChannelAttention):
        fusion, use_bias, hidden = layer.fusion, False, _PSI
    else:
        fusion, use_bias = "sum", layer.use_bias
        hidden = _activation(layer.activation, layer.name)
    reduced = channels // layer.ratio
    pools, pixels = len(layer.pools), height * width
    together = fusion == "concat"
    branches = 1 if together else pools
    macs = branches * 2 * channels * reduced
    if together:
        # W1 takes the channels of all pools.
        macs += (pools - 1) * channels * reduced
    average = (pixels + 1) * channels
    maximum = (pixels - 1) * channels if "max" in layer.pools else 0
    others = (
        average
        + maximum
        + branches * reduced * hidden
        + (branches - 1) * channels
        + channels * _SIGMOID
        + pixels * channels
    )
    if use_bias:
        others += branches * (reduced + channels)
    if fusion == "gated":
        macs += pools * channels
        # Bias and sigmoid of the share, the other share, two products.
        others += 1 + _SIGMOID + 1 + 2 * channels
    return Cost(macs, average, others)


def _efficient(layer: EfficientChannelAttention) -> Cost:
    height, width, channels = _sizes(layer)
    pixels = height * width
    average = (pixels + 1) * channels
    others = average + channels * _SIGMOID + pixels * channels
    return Cost(channels * layer.kernel.shape[0], average, others)


def _convolutional(layer: ConvolutionalBlockAttention) -> Cost:
    height, width, channels = _sizes(layer)
    pixels = height * width
    first = _channel_cost(layer.channel, height, width, channels)
    # Maximum and mean of each place, sigmoid, product.
    others = first.others + pixels * (3 * channels - 1 + _SIGMOID)
    norm = pixels if layer.use_norm else 0
    return Cost(
        first.macs + pixels * math.prod(layer.kernel.shape),
        first.paper + 4 * norm,
        others + 2 * norm,
    )


def _coordinate(layer: CoordinateAttention) -> Cost:
    height, width, channels = _sizes(layer)
    averages = (2 * height * width + height + width) * channels
    gates = _directions(layer, height, width, channels)
    return Cost(
        gates.macs,
        averages + gates.paper,
        # The product with rows, and that with columns.
        averages + gates.others + 2 * height * width * channels,
    )


def _dual_direction(layer: DualDirectionHead) -> Cost:
    height, width, channels = _sizes(layer)
    lines, places = height + width, height * width * channels
    gates = _directions(layer, height, width, channels)
    return Cost(
        2 * places + gates.macs,
        4 * lines * channels + gates.paper,
        2 * lines * channels + gates.others + places,
    )


def _directions(
    layer: CoordinateAttention | DualDirectionHead,
    height: int,
    width: int,
    channels: int,
) -> Cost:
    """From pooled rows and columns to the weights of both."""
    lines = height + width
    hidden = lines * layer.reduce_kernel.shape[-1]
    return Cost(
        2 * hidden * channels,
        4 * hidden,
        hidden * (1 + 2 + _HARD_SWISH) + lines * channels * (1 + _SIGMOID),
    )


_RULES: dict[type, Callable[[Any], Cost]] = {
    MultiScaleConv2D: _multi_scale,
    ChannelAttention: _channel,
    WaveletChannelAttention: _channel,
    EfficientChannelAttention: _efficient,
    ConvolutionalBlockAttention: _convolutional,
    CoordinateAttention: _coordinate,
    DualDirectionHead: _dual_direction,
    Morlet: _each_output(_PSI),
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.GlobalAveragePooling2D: _global_average,
    layers.GlobalMaxPooling2D: _global_maximum,
    layers.AveragePooling2D: _average_pool,
    layers.MaxPooling2D: _max_pool,
    layers.UpSampling2D: _upsampling,
    layers.ReLU: _relu,
    layers.PReLU: _each_output(2),
    layers.Activation: _activation_layer,
    layers.Softmax: _each_output(_SOFTMAX),
    layers.Rescaling: _each_output(2),
    layers.Add: _combination,
    layers.Subtract: _combination,
    layers.Multiply: _combination,
    layers.Maximum: _combination,
    layers.Average: _average,
    layers.InputLayer: _each_output(0),
    layers.Flatten: _each_output(0),
    layers.Reshape: _each_output(0),
    layers.Dropout: _each_output(0),
    layers.ZeroPadding2D: _each_output(0),
    layers.Cropping2D: _each_output(0),
    layers.Concatenate: _each_output(0),
    ChannelSlice: _each_output(0),
}
