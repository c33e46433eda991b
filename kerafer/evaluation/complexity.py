"""How large a model is and how much it computes, by a rule with a name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import (
    ChannelSlice,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    DualDirectionHead,
    EfficientChannelAttention,
    MultiScaleConv2D,
)
from kerafer.layers.bottleneck_gate import BottleneckGate
from kerafer.layers.gate import Gate
from kerafer.layers.morlet import Morlet
from kerafer.layers.wavelet_gate import WaveletGate

CONVENTIONS = ("paper", "macs", "flops")


class Complexity(NamedTuple):
    """Size and cost of a model for one picture.

    Args:
        parameters: Trainable numbers.
        macs: Operations by the convention asked for.
    """

    parameters: int
    macs: int


class _Cost(NamedTuple):
    """What one layer computes for one picture.

    Args:
        macs: Multiply-adds of convolutions and dense layers.
        paper: What the article's counting adds to them.
        others: Floating-point operations that are no such multiply-adds.
    """

    macs: int = 0
    paper: int = 0
    others: int = 0


def complexity(model: keras.Model, convention: str = "paper") -> Complexity:
    """Count the trainable parameters and the operations of a model.

    Args:
        model: A functional model with a defined input size.
        convention: `"paper"` is the counting of the article's Table 8:
            multiply-adds of convolutions and dense layers without bias, 4 for
            each output of a BatchNorm with scale and shift, and
            `height * width + 1` for each channel of a global average pooling
            (one along a row or a column alike: its numbers and 1; other
            average poolings add nothing, as maximum poolings do not);
            `"macs"` the multiply-adds of convolutions and dense layers alone;
            `"flops"` all floating-point operations: a multiply-add counts
            two, additions, comparisons and transcendental functions one.
            Defaults to `"paper"`.

    Returns:
        `(parameters, macs)`.

    Raises:
        UserError: For another convention, an undefined input size, or a layer
            whose cost is not known here.

    Example:
        >>> complexity(kerafer.create_model("mcnn"))
        Complexity(parameters=57640647, macs=1138450176)
    """
    if convention not in CONVENTIONS:
        raise UserError(
            f"The conventions are {', '.join(CONVENTIONS)}. "
            f"Received: {convention}."
        )
    if None in model.input_shape[1:]:
        raise UserError(
            "Operations are counted for a defined input size. "
            f"Received: {model.input_shape[1:]}."
        )
    costs = [_layer_cost(layer) for layer in model.layers]
    operations = {
        "macs": sum(cost.macs for cost in costs),
        "paper": sum(cost.macs + cost.paper for cost in costs),
        "flops": sum(2 * cost.macs + cost.others for cost in costs),
    }[convention]
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    return Complexity(parameters, operations)


def _layer_cost(layer: layers.Layer) -> _Cost:
    if isinstance(layer, keras.Model):
        costs = [_layer_cost(inner) for inner in layer.layers]
        return _Cost(*(sum(column) for column in zip(*costs, strict=True)))
    for kind, rule in _RULES.items():
        if isinstance(layer, kind):
            return rule(layer)
    raise UserError(
        f"The cost of the layer {layer.name} ({type(layer).__name__}) is not "
        "known; kerafer.evaluation.complexity has a rule for each kind."
    )


def _outputs(layer: layers.Layer) -> int:
    return math.prod(layer.output.shape[1:])


def _convolution(layer: layers.Conv2D) -> _Cost:
    kernel = layer.kernel.shape
    macs = _outputs(layer) * math.prod(kernel[:-1])
    return _Cost(macs, 0, _outputs(layer) if layer.use_bias else 0)


def _depthwise(layer: layers.DepthwiseConv2D) -> _Cost:
    macs = _outputs(layer) * math.prod(layer.kernel.shape[:2])
    return _Cost(macs, 0, _outputs(layer) if layer.use_bias else 0)


def _multi_scale(layer: MultiScaleConv2D) -> _Cost:
    each = _outputs(layer) // len(layer.kernels)
    taps = sum(math.prod(kernel.shape[:-1]) for kernel in layer.kernels)
    return _Cost(each * taps, 0, _outputs(layer) if layer.use_bias else 0)


def _dense(layer: layers.Dense) -> _Cost:
    macs = math.prod(layer.kernel.shape)
    return _Cost(macs, 0, _outputs(layer) if layer.use_bias else 0)


def _norm(layer: layers.BatchNormalization) -> _Cost:
    affine = layer.scale and layer.center
    return _Cost(0, (4 if affine else 2) * _outputs(layer), 2 * _outputs(layer))


def _average_pool(layer: layers.Layer) -> _Cost:
    _, height, width, channels = layer.input.shape
    pixels = height * width + 1
    return _Cost(0, pixels * channels, pixels * channels)


def _pool(layer: layers.MaxPooling2D | layers.AveragePooling2D) -> _Cost:
    # The comparisons of a maximum; the sums and the division of an average.
    average = isinstance(layer, layers.AveragePooling2D)
    numbers = math.prod(layer.pool_size) - (not average)
    return _Cost(others=numbers * _outputs(layer))


def _global_max_pool(layer: layers.GlobalMaxPooling2D) -> _Cost:
    _, height, width, channels = layer.input.shape
    return _Cost(others=(height * width - 1) * channels)


def _of_several(layer: layers.Layer) -> _Cost:
    """Sum, product or maximum of several tensors."""
    return _Cost(others=(len(layer.input) - 1) * _outputs(layer))


def _average(layer: layers.Average) -> _Cost:
    return _Cost(others=len(layer.input) * _outputs(layer))


# A number between two others: two products and a sum.
_BETWEEN = 3


def _up_sampling(layer: layers.UpSampling2D) -> _Cost:
    if layer.interpolation == "nearest":
        return _Cost()
    # Bilinear: along one axis, and then along the other.
    return _Cost(others=2 * _BETWEEN * _outputs(layer))


_PSI = 8  # subtract, divide, times, cosine, square, times, exponential, times
_SIGMOID = 4
_HARD_SWISH = 4  # add, clip, divide, times


def _sizes(layer: Gate) -> tuple[int, int, int]:
    """Height, width and channels of an attention's input."""
    if layer.data_format == "channels_last":
        return layer.input.shape[1:]
    _, channels, height, width = layer.input.shape
    return height, width, channels


def _bottleneck(layer: BottleneckGate) -> _Cost:
    return _bottleneck_cost(layer, *_sizes(layer))


def _bottleneck_cost(
    layer: BottleneckGate, height: int, width: int, channels: int
) -> _Cost:
    reduced = channels // layer.ratio
    branches = len(layer.pools)
    pixels = height * width
    average = (pixels + 1) * channels
    maximum = (pixels - 1) * channels if "max" in layer.pools else 0
    hidden = _PSI if isinstance(layer, WaveletGate) else 1
    others = (
        average
        + maximum
        + branches * reduced * hidden
        + (branches - 1) * channels
        + channels * _SIGMOID
        + pixels * channels
    )
    if layer.use_bias:
        others += branches * (reduced + channels)
    macs = 2 * branches * channels * reduced
    if layer.fusion == "gated":
        # One share of two vectors, and their weighted sum.
        macs += branches * channels
        others += _SIGMOID + 2 + 2 * channels
    elif layer.fusion == "concat":
        # One hidden vector, and one sum over it.
        macs -= (branches - 1) * channels * reduced
        others -= (branches - 1) * (reduced * hidden + channels)
    return _Cost(macs, average, others)


def _efficient(layer: EfficientChannelAttention) -> _Cost:
    height, width, channels = _sizes(layer)
    pixels = height * width
    average = (pixels + 1) * channels
    others = average + channels * _SIGMOID + pixels * channels
    return _Cost(channels * layer.kernel.shape[0], average, others)


def _convolutional(layer: ConvolutionalBlockAttention) -> _Cost:
    height, width, channels = _sizes(layer)
    pixels = height * width
    first = _bottleneck_cost(layer.channel, height, width, channels)
    # Maximum and mean of each place, sigmoid, product.
    others = first.others + pixels * (3 * channels - 1 + _SIGMOID)
    norm = pixels if layer.use_norm else 0
    return _Cost(
        first.macs + pixels * math.prod(layer.kernel.shape),
        first.paper + 4 * norm,
        others + 2 * norm,
    )


def _coordinate(layer: CoordinateAttention) -> _Cost:
    height, width, channels = _sizes(layer)
    lines, pixels = height + width, height * width
    reduced = layer.reduce_kernel.shape[-1]
    averages = (2 * pixels + lines) * channels
    hidden = lines * reduced
    others = (
        averages
        + hidden * (1 + 2 + _HARD_SWISH)
        + lines * channels * (1 + _SIGMOID)
        + 2 * pixels * channels
    )
    return _Cost(2 * hidden * channels, averages + 4 * hidden, others)


def _direction_head(layer: DualDirectionHead) -> _Cost:
    height, width, channels = _sizes(layer)
    lines, pixels = height + width, height * width
    reduced = layer.reduce_kernel.shape[-1]
    hidden = lines * reduced
    # BatchNorm, biases, hard-swish, sigmoids, product of row and column.
    others = (
        2 * lines * channels
        + hidden * (1 + 2 + _HARD_SWISH)
        + lines * channels * (1 + _SIGMOID)
        + pixels * channels
    )
    macs = 2 * pixels * channels + 2 * hidden * channels
    return _Cost(macs, 4 * (lines * channels + hidden), others)


def _each_output(operations: int) -> Callable[[layers.Layer], _Cost]:
    return lambda layer: _Cost(others=operations * _outputs(layer))


_RULES: dict[type, Callable[[layers.Layer], _Cost]] = {
    MultiScaleConv2D: _multi_scale,
    BottleneckGate: _bottleneck,
    EfficientChannelAttention: _efficient,
    ConvolutionalBlockAttention: _convolutional,
    CoordinateAttention: _coordinate,
    DualDirectionHead: _direction_head,
    ChannelSlice: _each_output(0),
    Morlet: _each_output(_PSI),
    # A DepthwiseConv2D is no Conv2D to Keras.
    layers.DepthwiseConv2D: _depthwise,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.GlobalAveragePooling2D: _average_pool,
    layers.GlobalMaxPooling2D: _global_max_pool,
    layers.MaxPooling2D: _pool,
    layers.AveragePooling2D: _pool,
    layers.UpSampling2D: _up_sampling,
    layers.ReLU: _each_output(1),
    layers.PReLU: _each_output(2),
    layers.Add: _of_several,
    layers.Multiply: _of_several,
    layers.Maximum: _of_several,
    layers.Average: _average,
    layers.Rescaling: _each_output(2),
    layers.Softmax: _each_output(3),
    layers.InputLayer: _each_output(0),
    layers.Flatten: _each_output(0),
    layers.Dropout: _each_output(0),
    layers.ZeroPadding2D: _each_output(0),
    layers.Cropping2D: _each_output(0),
    layers.Concatenate: _each_output(0),
    layers.Reshape: _each_output(0),
}
