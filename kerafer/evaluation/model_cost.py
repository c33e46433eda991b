"""Parameters and multiply-adds of a model."""

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

CONVENTIONS = ("paper", "macs")


class Complexity(NamedTuple):
    """Size and cost of a model for one image.

    Args:
        parameters: Number of trainable values.
        macs: Operations by the convention asked for.
    """

    parameters: int
    macs: int


def complexity(model: keras.Model, convention: str = "paper") -> Complexity:
    """Count the trainable parameters and the multiply-adds of a model.

    Args:
        model: A functional model with a defined input size.
        convention: `"paper"` is the counting of the article's Table 8:
            multiply-adds of convolutions and dense layers without bias, 4 for
            each output of a BatchNorm with scale and shift, and
            `height * width + 1` for each channel of a global average pooling.
            `"macs"` leaves the last two out. Default: `"paper"`.

    Raises:
        UserError: For another convention, an undefined input size, or a layer
            without a rule here.

    Example:
        >>> complexity(kerafer.create_model("mcnn"))
        Complexity(parameters=57640647, macs=1138450176)
    """
    if convention not in CONVENTIONS:
        raise UserError(
            f"Unknown convention {convention!r}. Choose one of "
            f"{', '.join(CONVENTIONS)}."
        )
    if None in model.input_shape[1:]:
        raise UserError(
            f"The input size is undefined: {model.input_shape[1:]}. Build the "
            "model with a fixed height, width and number of channels."
        )
    cost = _layer_cost(model)
    macs = cost.macs + (cost.paper if convention == "paper" else 0)
    return Complexity(trainable_parameters(model), macs)


def trainable_parameters(model: keras.Model) -> int:
    """Count the trainable values of a model.

    `count_params` of Keras includes the moving statistics of BatchNorm.
    """
    return sum(math.prod(v.shape) for v in model.trainable_variables)


class _Cost(NamedTuple):
    """Multiply-adds, and what the article's counting adds to them."""

    macs: int = 0
    paper: int = 0


def _layer_cost(layer: layers.Layer) -> _Cost:
    if isinstance(layer, keras.Model):
        costs = [_layer_cost(inner) for inner in layer.layers]
        return _Cost(*(sum(column) for column in zip(*costs, strict=True)))
    for kind, rule in _RULES.items():
        if isinstance(layer, kind):
            return rule(layer)
    if isinstance(layer, _FREE):
        return _Cost()
    raise UserError(
        f"The cost of layer {layer.name} ({type(layer).__name__}) is unknown. "
        "Add a rule for it to kerafer/evaluation/model_cost.py."
    )


def _outputs(layer: layers.Layer) -> int:
    return math.prod(layer.output.shape[1:])


def _convolution(layer: layers.Conv2D) -> _Cost:
    return _Cost(_outputs(layer) * math.prod(layer.kernel.shape[:-1]))


def _depthwise(layer: layers.DepthwiseConv2D) -> _Cost:
    return _Cost(_outputs(layer) * math.prod(layer.kernel.shape[:2]))


def _multi_scale(layer: MultiScaleConv2D) -> _Cost:
    outputs = _outputs(layer) // len(layer.kernels)
    taps = sum(math.prod(kernel.shape[:-1]) for kernel in layer.kernels)
    return _Cost(outputs * taps)


def _dense(layer: layers.Dense) -> _Cost:
    return _Cost(_outputs(layer) * layer.kernel.shape[0])


def _norm(layer: layers.BatchNormalization) -> _Cost:
    affine = layer.scale and layer.center
    return _Cost(0, (4 if affine else 2) * _outputs(layer))


def _global_average(layer: layers.Layer) -> _Cost:
    _, height, width, channels = layer.input.shape
    return _Cost(0, (height * width + 1) * channels)


def _input_size(layer: Gate) -> tuple[int, int, int]:
    """Height, width and channels of an attention's input."""
    if layer.data_format == "channels_last":
        return layer.input.shape[1:]
    _, channels, height, width = layer.input.shape
    return height, width, channels


def _channel(layer: ChannelAttention | WaveletChannelAttention) -> _Cost:
    return _channel_cost(layer, *_input_size(layer))


def _channel_cost(
    layer: ChannelAttention | WaveletChannelAttention,
    height: int,
    width: int,
    channels: int,
) -> _Cost:
    fusion = getattr(layer, "fusion", "sum")
    reduced, pools = channels // layer.ratio, len(layer.pools)
    macs = (1 if fusion == "concat" else pools) * 2 * channels * reduced
    if fusion == "concat":
        # W1 takes the channels of all pools.
        macs += (pools - 1) * channels * reduced
    if fusion == "gated":
        macs += pools * channels
    return _Cost(macs, (height * width + 1) * channels)


def _efficient(layer: EfficientChannelAttention) -> _Cost:
    height, width, channels = _input_size(layer)
    return _Cost(
        channels * layer.kernel.shape[0], (height * width + 1) * channels
    )


def _convolutional(layer: ConvolutionalBlockAttention) -> _Cost:
    height, width, channels = _input_size(layer)
    pixels = height * width
    first = _channel_cost(layer.channel, height, width, channels)
    return _Cost(
        first.macs + pixels * math.prod(layer.kernel.shape),
        first.paper + (4 * pixels if layer.use_norm else 0),
    )


def _coordinate(layer: CoordinateAttention) -> _Cost:
    height, width, channels = _input_size(layer)
    averages = (2 * height * width + height + width) * channels
    gates = _directions(layer, height, width, channels)
    return _Cost(gates.macs, averages + gates.paper)


def _dual_direction(layer: DualDirectionHead) -> _Cost:
    height, width, channels = _input_size(layer)
    gates = _directions(layer, height, width, channels)
    return _Cost(
        2 * height * width * channels + gates.macs,
        4 * (height + width) * channels + gates.paper,
    )


def _directions(
    layer: CoordinateAttention | DualDirectionHead,
    height: int,
    width: int,
    channels: int,
) -> _Cost:
    """From pooled rows and columns to the weights of both."""
    hidden = (height + width) * layer.reduce_kernel.shape[-1]
    return _Cost(2 * hidden * channels, 4 * hidden)


_RULES: dict[type, Callable[[Any], _Cost]] = {
    MultiScaleConv2D: _multi_scale,
    ChannelAttention: _channel,
    WaveletChannelAttention: _channel,
    EfficientChannelAttention: _efficient,
    ConvolutionalBlockAttention: _convolutional,
    CoordinateAttention: _coordinate,
    DualDirectionHead: _dual_direction,
    layers.DepthwiseConv2D: _depthwise,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.GlobalAveragePooling2D: _global_average,
}
# Without multiply-adds of convolutions and dense layers.
_FREE = (
    *(Morlet, ChannelSlice, layers.InputLayer, layers.Rescaling),
    *(layers.ReLU, layers.PReLU, layers.Activation, layers.Softmax),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Maximum),
    *(layers.Average, layers.Concatenate, layers.Flatten, layers.Reshape),
    *(layers.Dropout, layers.ZeroPadding2D, layers.Cropping2D),
    layers.UpSampling2D,
)
