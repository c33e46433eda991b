"""Parameters and multiply-adds of a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import (
    ChannelSlice,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    EfficientChannelAttention,
    MultiScaleConv2D,
)
from kerafer.layers.direction_gate import DirectionGate
from kerafer.layers.gate import BottleneckGate, Gate
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
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    taps = layer.kernel.shape[: 2 if depthwise else -1]
    return _Cost(_outputs(layer) * math.prod(taps))


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


def _attention(layer: Gate) -> _Cost:
    """The cost of an attention layer, from its kernels and input size."""
    sides = list(layer.input.shape[1:])
    channels = sides.pop(-1 if layer.data_format == "channels_last" else 0)
    height, width = sides
    pixels = height * width
    if isinstance(layer, DirectionGate):
        hidden = (height + width) * layer.reduce_kernel.shape[-1]
        macs, paper = 2 * hidden * channels, 4 * hidden
        if isinstance(layer, CoordinateAttention):
            averages = (2 * pixels + height + width) * channels
            return _Cost(macs, paper + averages)
        norms = 4 * (height + width) * channels
        return _Cost(macs + 2 * pixels * channels, paper + norms)
    macs, paper = 0, (pixels + 1) * channels
    if isinstance(layer, BottleneckGate):
        macs = _bottleneck(layer)
    elif isinstance(layer, EfficientChannelAttention):
        macs = channels * math.prod(layer.kernel.shape)
    elif isinstance(layer, ConvolutionalBlockAttention):
        macs = _bottleneck(layer.channel)
        macs += pixels * math.prod(layer.kernel.shape)
        paper += 4 * pixels if layer.use_norm else 0
    return _Cost(macs, paper)


def _bottleneck(layer: BottleneckGate) -> int:
    fusion = getattr(layer, "fusion", "sum")
    kernels = [layer.reduce_kernels[0], layer.expand_kernels[0]]
    macs = sum(math.prod(kernel.shape) for kernel in kernels)
    macs *= 1 if fusion == "concat" else len(layer.pools)
    if fusion == "gated":
        macs += math.prod(layer.fusion_kernel.shape)
    return macs


_RULES: dict[type, Callable[[Any], _Cost]] = {
    MultiScaleConv2D: _multi_scale,
    BottleneckGate: _attention,
    EfficientChannelAttention: _attention,
    ConvolutionalBlockAttention: _attention,
    DirectionGate: _attention,
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
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
