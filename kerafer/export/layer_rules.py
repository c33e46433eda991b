"""The plain operations of each layer but the attentions.

A rule is called with the graph, the layer, the nodes of its inputs and the
shape of its output without the batch; it adds to the graph and returns the
node of its output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from kerafer.errors import UserError
from kerafer.export.node import Margins, Node
from kerafer.layers import ChannelSlice, MultiScaleConv2D

if TYPE_CHECKING:
    from kerafer.export.graph import Graph

Shape = tuple[int, ...]
Rule = Callable[["Graph", Any, list[Node], Shape], Node]

# Keras has two names for one function.
_ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "silu": "silu",
    "hard_silu": "hard_swish",
    "hard_swish": "hard_swish",
}


# === What several rules need ===


def array(values: Any) -> np.ndarray:
    """A layer's weight in float32."""
    return np.asarray(keras.ops.convert_to_numpy(values), np.float32)


def activate(graph: Graph, function: Any, node: Node, name: str) -> Node:
    """Add an activation function of Keras'.

    Args:
        graph: To add to.
        function: The function.
        node: What it acts on.
        name: Of what has the activation.

    Raises:
        UserError: For a function without a rule.
    """
    given = keras.activations.serialize(function)
    if given == "linear":
        return node
    if given not in _ACTIVATIONS:
        raise UserError(
            f"An export knows the activations {', '.join(_ACTIVATIONS)}. "
            f"Received: {given}, at {name}."
        )
    kind = _ACTIVATIONS[given]
    if kind == "silu":
        gate = graph.add("sigmoid", f"{name}_sigmoid", node)
        return graph.add("multiply", f"{name}_silu", node, gate)
    return graph.add(kind, f"{name}_{kind}", node)


def normalise(
    graph: Graph, layer: layers.BatchNormalization, node: Node, name: str
) -> Node:
    """Add a BatchNorm over the channels, in inference."""
    factor = 1.0 / np.sqrt(array(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        factor = factor * array(layer.gamma)
    bias = -array(layer.moving_mean) * factor
    if layer.center:
        bias = bias + array(layer.beta)
    return graph.add("norm", name, node, factor=factor, bias=bias)


def dense(
    graph: Graph,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    node: Node,
    name: str,
) -> Node:
    """Add a dense layer on the channels; on a map it is a 1x1 convolution."""
    if bias is None:
        bias = np.zeros(kernel.shape[-1], np.float32)
    shape = (*node.shape[:-1], kernel.shape[-1])
    facts = {"shape": shape, "kernels": [kernel], "bias": bias}
    if len(node.shape) == 1:
        return graph.add("dense", name, node, **facts)
    if len(node.shape) != 3:
        raise UserError(
            "An export knows dense layers on channels, or on the channels of "
            f"a map. Received: {name}, on shape {node.shape}."
        )
    facts["kernels"] = [kernel[None, None]]
    facts["margins"] = [(0, 0, 0, 0)]
    return graph.add("convolution", name, node, **facts)


def combine(graph: Graph, kind: str, name: str, *inputs: Node) -> Node:
    """Add `add`, `subtract`, `multiply` or `maximum` of two nodes or more.

    Channels alone count for every place of a map.
    """
    rank = max(len(node.shape) for node in inputs)
    level = [
        node
        if len(node.shape) == rank
        else reshape(graph, node, (*(rank - 1) * [1], *node.shape), name)
        for node in inputs
    ]
    result = level[0]
    for node in level[1:]:
        shape = np.broadcast_shapes(result.shape, node.shape)
        result = graph.add(kind, name, result, node, shape=shape)
    return result


def reshape(graph: Graph, node: Node, shape: Shape, name: str) -> Node:
    """Add another order of the same numbers, rows of channels."""
    return graph.add("reshape", f"{name}_reshape", node, shape=tuple(shape))


def same_margins(
    size: Shape, outputs: Shape, extent: Shape, strides: Shape
) -> Margins:
    """Zeros around a map as TensorFlow pads for `"same"`."""
    margins = ()
    for axis in (0, 1):
        total = (outputs[axis] - 1) * strides[axis] + extent[axis] - size[axis]
        before = max(total, 0) // 2
        margins += (before, max(total, 0) - before)
    return margins


def _bias(layer: Any, outputs: int) -> np.ndarray:
    if layer.bias is None:
        return np.zeros(outputs, np.float32)
    return array(layer.bias)


# === Convolutions, dense layers, BatchNorm ===


def _convolution(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    kernel = array(layer.kernel)
    kind = "convolution"
    if layer.groups > 1 and kernel.shape[2] == 1:
        # A kernel or more for each channel.
        kind = "depthwise"
        kernel = kernel.reshape(*kernel.shape[:2], layer.groups, -1)
    return _add_convolution(graph, layer, kind, kernel, inputs[0], shape)


def _depthwise(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    kernel = array(layer.kernel)
    return _add_convolution(graph, layer, "depthwise", kernel, inputs[0], shape)


def _add_convolution(
    graph: Graph,
    layer: Any,
    kind: str,
    kernel: np.ndarray,
    source: Node,
    shape: Shape,
) -> Node:
    node = graph.add(
        kind,
        layer.name,
        source,
        shape=shape,
        kernels=[kernel],
        bias=_bias(layer, shape[-1]),
        margins=[(0, 0, 0, 0)],
        strides=tuple(layer.strides),
        dilation=tuple(layer.dilation_rate),
    )
    if layer.padding == "same":
        (extent,) = node.extents
        node.margins = [same_margins(source.shape, shape, extent, node.strides)]
    return activate(graph, layer.activation, node, layer.name)


def _multi_scale(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    # Dilation and groups are zeros in it: a stem has so few channels that
    # those cost little, and it stays one convolution that all forms fit.
    whole = array(layer.fused_kernel())
    widest = len(whole)
    kernels, margins = [whole], [(0, 0, 0, 0)]
    if layer.padding == "same":
        extents = [
            rate * (size - 1) + 1
            for size, rate in zip(
                layer.kernel_sizes, layer.dilation_rates, strict=True
            )
        ]
        kernels = []
        for branch, extent in enumerate(extents):
            taps = slice((widest - extent) // 2, (widest + extent) // 2)
            outputs = slice(
                branch * layer.filters, (branch + 1) * layer.filters
            )
            kernels.append(whole[taps, taps, :, outputs])
        margins = [(extent // 2,) * 4 for extent in extents]
    node = graph.add(
        "convolution",
        layer.name,
        *inputs,
        shape=shape,
        kernels=kernels,
        bias=_bias(layer, whole.shape[-1]),
        margins=margins,
        strides=tuple(layer.strides),
    )
    return activate(graph, layer.activation, node, layer.name)


def _dense(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    bias = _bias(layer, shape[-1])
    node = dense(graph, array(layer.kernel), bias, inputs[0], layer.name)
    return activate(graph, layer.activation, node, layer.name)


def _norm(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    if layer.axis not in (-1, len(shape)):
        raise UserError(
            "An export knows BatchNorm over the channels, the last axis. "
            f"Received: {layer.name}, axis {layer.axis}."
        )
    return normalise(graph, layer, inputs[0], layer.name)


# === The picture, and constant factors ===


def _input(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    if None in shape or len(shape) != 3:
        raise UserError(
            "An exported model takes pictures of one size. Received an input "
            f"of shape {shape}."
        )
    return graph.add("input", layer.name, shape=shape)


def _rescaling(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    if inputs[0].kind != "input":
        return _times_plus(
            graph, layer.scale, layer.offset, inputs[0], layer.name
        )
    if np.ndim(layer.scale) or np.ndim(layer.offset) or graph.scale != 1.0:
        raise UserError(
            "An export takes models with one scaling of the pixels by two "
            f"numbers. Received another one: {layer.name}."
        )
    graph.scale, graph.offset = float(layer.scale), float(layer.offset)
    return graph.add("scaling", layer.name, *inputs)


def _times_plus(
    graph: Graph, factor: Any, term: Any, node: Node, name: str
) -> Node:
    """`node * factor + term`, numbers or one for each channel."""
    factor, term = (
        np.broadcast_to(np.asarray(value, np.float32), node.shape[-1:])
        for value in (factor, term)
    )
    return graph.add("norm", name, node, factor=factor, bias=term)


# === Activations ===


def _relu(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    if (
        layer.negative_slope
        or layer.threshold
        or layer.max_value
        not in (
            None,
            6,
        )
    ):
        raise UserError(
            "An export knows ReLU as it is, or with max_value=6. "
            f"Received: {layer.name}, with other arguments."
        )
    kind = "relu" if layer.max_value is None else "relu6"
    return graph.add(kind, layer.name, *inputs)


def _prelu(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    return graph.add("prelu", layer.name, *inputs, factor=array(layer.alpha))


def _activation(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    return activate(graph, layer.activation, inputs[0], layer.name)


# === Of several inputs ===


def _combination(kind: str) -> Rule:
    def rule(
        graph: Graph, layer: Any, inputs: list[Node], shape: Shape
    ) -> Node:
        return combine(graph, kind, layer.name, *inputs)

    return rule


def _average(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    total = combine(graph, "add", layer.name, *inputs)
    name = f"{layer.name}_share"
    return _times_plus(graph, 1.0 / len(inputs), 0.0, total, name)


def _concatenate(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    axis = layer.axis % (len(shape) + 1) - 1
    return graph.add("concatenate", layer.name, *inputs, shape=shape, axis=axis)


# === Pools, sizes and places ===


def _pool(kind: str) -> Rule:
    def rule(
        graph: Graph, layer: Any, inputs: list[Node], shape: Shape
    ) -> Node:
        size, strides = tuple(layer.pool_size), tuple(layer.strides)
        margins = (0, 0, 0, 0)
        if layer.padding == "same":
            margins = same_margins(inputs[0].shape, shape, size, strides)
        return graph.add(
            kind,
            layer.name,
            *inputs,
            shape=shape,
            size=size,
            strides=strides,
            margins=[margins],
        )

    return rule


def _global_pool(kind: str) -> Rule:
    def rule(
        graph: Graph, layer: Any, inputs: list[Node], shape: Shape
    ) -> Node:
        node = graph.add(kind, layer.name, *inputs, shape=shape[-1:])
        if layer.keepdims:
            node = reshape(graph, node, shape, layer.name)
        return node

    return rule


def _pad(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    (top, bottom), (left, right) = layer.padding
    return graph.add(
        "pad",
        layer.name,
        *inputs,
        shape=shape,
        margins=[(top, bottom, left, right)],
    )


def _crop(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    (top, _), (left, _) = layer.cropping
    return _cut(graph, layer, inputs[0], shape, (top, left, 0))


def _channels(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    return _cut(graph, layer, inputs[0], shape, (0, 0, layer.start))


def _cut(
    graph: Graph, layer: Any, source: Node, shape: Shape, start: Shape
) -> Node:
    if shape == source.shape:
        return source
    return graph.add("slice", layer.name, source, shape=shape, start=start)


def _upsampling(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    if layer.interpolation not in ("nearest", "bilinear"):
        raise UserError(
            "An export knows the interpolations nearest and bilinear. "
            f"Received: {layer.interpolation}, at {layer.name}."
        )
    return graph.add(
        layer.interpolation,
        layer.name,
        *inputs,
        shape=shape,
        size=tuple(layer.size),
    )


def _reshape(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    if len(shape) not in (1, 3):
        raise UserError(
            "An export knows reshapes to (height, width, channels) or "
            f"(channels,). Received: {layer.name}, to {shape}."
        )
    return graph.add("reshape", layer.name, *inputs, shape=shape)


def _flatten(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    numbers = math.prod(inputs[0].shape)
    return graph.add("reshape", layer.name, *inputs, shape=(numbers,))


def _softmax(
    graph: Graph, layer: Any, inputs: list[Node], shape: Shape
) -> Node:
    return graph.add("softmax", layer.name, *inputs)


def _skip(graph: Graph, layer: Any, inputs: list[Node], shape: Shape) -> Node:
    return inputs[0]


LAYER_RULES: dict[type, Rule] = {
    layers.InputLayer: _input,
    layers.Rescaling: _rescaling,
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    MultiScaleConv2D: _multi_scale,
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.ReLU: _relu,
    layers.PReLU: _prelu,
    layers.Activation: _activation,
    layers.Softmax: _softmax,
    layers.Dropout: _skip,
    layers.Add: _combination("add"),
    layers.Subtract: _combination("subtract"),
    layers.Multiply: _combination("multiply"),
    layers.Maximum: _combination("maximum"),
    layers.Average: _average,
    layers.Concatenate: _concatenate,
    layers.MaxPooling2D: _pool("max_pool"),
    layers.AveragePooling2D: _pool("average_pool"),
    layers.GlobalMaxPooling2D: _global_pool("global_max"),
    layers.GlobalAveragePooling2D: _global_pool("global_average"),
    layers.ZeroPadding2D: _pad,
    layers.Cropping2D: _crop,
    ChannelSlice: _channels,
    layers.UpSampling2D: _upsampling,
    layers.Reshape: _reshape,
    layers.Flatten: _flatten,
}
