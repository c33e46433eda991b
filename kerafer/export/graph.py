"""A trained model as a short list of plain operations."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import (
    MultiScaleConv2D,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)
from kerafer.layers.morlet import Morlet, _away_from_zero
from kerafer.layers.wavelet_gate import WaveletGate

Margins = tuple[int, int, int, int]


@dataclasses.dataclass(eq=False)
class Node:
    """One operation.

    Args:
        kind: `input`, `convolution`, `dense`, `norm`, `wavelet`, `relu`,
            `sigmoid`, `softmax`, `add`, `multiply`, `max_pool`, `pad`,
            `global_max`, `global_average` or `flatten`.
        name: Unique in its graph.
        inputs: Whose results it takes.
        shape: Of its result, without the batch.
        kernels: Of a convolution one `(height, width, in, out)` for each
            branch, whose outputs are concatenated; of a dense layer one
            `(in, out)`.
        bias: Added by a convolution, a dense layer or `norm`.
        factor: What `norm` multiplies with before.
        margins: Zeros at top, bottom, left and right, for each branch of a
            convolution, or for `pad`.
        strides: Of a convolution or pool.
        size: Of a pool.
        relu: Whether a convolution, dense layer or sum ends in a ReLU.
        wavelet, center_frequency: Of a wavelet.
    """

    kind: str
    name: str
    inputs: list[Node]
    shape: tuple[int, ...]
    kernels: list[np.ndarray] = dataclasses.field(default_factory=list)
    bias: np.ndarray | None = None
    factor: np.ndarray | None = None
    margins: list[Margins] = dataclasses.field(default_factory=list)
    strides: tuple[int, int] = (1, 1)
    size: tuple[int, int] = (1, 1)
    relu: bool = False
    wavelet: str = ""
    center_frequency: float = 0.0


class Graph:
    """What a trained model computes for one picture, ready for inference.

    Dropout is gone; BatchNorm and the factor of the pixels' scaling are part
    of the convolutions; the attention layers are dense layers around the bare
    wavelet; all numbers are float32 constants, whatever the training computed
    in. What is left of the scaling is `pixel - zero`.

    Args:
        model: A functional model that maps one picture to probabilities.

    Attributes:
        nodes: Each behind those that it takes from; the first is the input,
            the last the probabilities.
        scale, offset: The model's own scaling, `pixel * scale + offset`.

    Raises:
        UserError: For a layer or an activation without a rule; names it.
    """

    def __init__(self, model: keras.Model) -> None:
        self.nodes: list[Node] = []
        self.scale, self.offset = 1.0, 0.0
        made: dict[int, Node] = {}
        for operation in model.operations:
            tensors = keras.tree.flatten(
                [] if _is_input(operation) else operation.input
            )
            inputs = [made[id(tensor)] for tensor in tensors]
            made[id(operation.output)] = self._rule(operation)(
                self, operation, inputs
            )
        self._fold_norms()
        self._fold_margins()
        self._fold_relus()
        self._fold_scaling()

    @property
    def zero(self) -> float:
        """The pixel value that the model's scaling maps to 0."""
        return -self.offset / self.scale

    def shifted(self, node: Node) -> Node:
        """A first convolution for pixels whose zero is a whole number.

        A quantized tensor holds `(pixel - round(zero)) * scale`. What is
        missing, at most half a step of a pixel, goes into the bias.
        """
        missing = self.offset + round(self.zero) * self.scale
        kernels = [kernel / self.scale for kernel in node.kernels]
        sums = [kernel.sum(axis=(0, 1, 2)) for kernel in kernels]
        bias = node.bias + missing * np.concatenate(sums)
        return dataclasses.replace(node, kernels=kernels, bias=bias)

    @property
    def classes(self) -> int:
        """Number of probabilities."""
        return self.nodes[-1].shape[-1]

    def consumers(self, node: Node) -> list[Node]:
        """All that take the result of a node."""
        return [other for other in self.nodes if node in other.inputs]

    def head(self, last: Node) -> Graph:
        """The part of this graph that ends with a node."""
        part = copy.copy(self)
        part.nodes = self.nodes[: self.nodes.index(last) + 1]
        return part

    def add(self, kind: str, name: str, *inputs: Node, **facts: Any) -> Node:
        """Append a node; its shape is that of its first input by default."""
        facts.setdefault("shape", inputs[0].shape if inputs else ())
        self.nodes.append(Node(kind, name, list(inputs), **facts))
        return self.nodes[-1]

    @staticmethod
    def _rule(operation: Any) -> Callable[..., Node]:
        if getattr(operation, "data_format", None) == "channels_first":
            raise UserError(
                "An export takes models of data format channels_last. "
                f"Received: {operation.name}, which is channels_first."
            )
        if type(operation) not in _RULES:
            known = ", ".join(kind.__name__ for kind in _RULES)
            raise UserError(
                f"An export knows the layers {known}. Received: "
                f"{operation.name}, a {type(operation).__name__}."
            )
        return _RULES[type(operation)]

    def _remove(self, node: Node) -> None:
        (source,) = node.inputs
        for other in self.consumers(node):
            other.inputs = [source if n is node else n for n in other.inputs]
        self.nodes.remove(node)

    def _fold_norms(self) -> None:
        for node in [n for n in self.nodes if n.kind == "norm"]:
            (source,) = node.inputs
            if source.kind not in ("convolution", "dense"):
                continue
            if len(self.consumers(source)) > 1:
                continue
            ends = np.cumsum([kernel.shape[-1] for kernel in source.kernels])
            factors = np.split(node.factor, ends[:-1])
            source.kernels = [
                kernel * factor
                for kernel, factor in zip(source.kernels, factors, strict=True)
            ]
            source.bias = source.bias * node.factor + node.bias
            self._remove(node)

    def _fold_margins(self) -> None:
        for node in [n for n in self.nodes if n.kind == "pad"]:
            consumers = self.consumers(node)
            if any(other.kind != "convolution" for other in consumers):
                continue
            for other in consumers:
                other.margins = [
                    tuple(np.add(own, node.margins[0]).tolist())
                    for own in other.margins
                ]
            self._remove(node)

    def _fold_relus(self) -> None:
        for node in [n for n in self.nodes if n.kind == "relu"]:
            (source,) = node.inputs
            if (
                source.kind in ("convolution", "dense", "add")
                and len(self.consumers(source)) == 1
            ):
                source.relu = True
                self._remove(node)

    def _fold_scaling(self) -> None:
        for node in [n for n in self.nodes if n.kind == "scaling"]:
            consumers = self.consumers(node)
            if node.inputs != self.nodes[:1] or any(
                other.kind != "convolution" for other in consumers
            ):
                raise UserError(
                    "An export takes models that scale the pixels first and "
                    "convolve them then. Received another order, at "
                    f"{node.name}."
                )
            for other in consumers:
                other.kernels = [k * self.scale for k in other.kernels]
            self._remove(node)


def _is_input(operation: Any) -> bool:
    return isinstance(operation, layers.InputLayer)


def _array(values: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(values), np.float32)


def _bias(layer: Any, outputs: int) -> np.ndarray:
    if layer.bias is None:
        return np.zeros(outputs, np.float32)
    return _array(layer.bias)


# === A rule for each layer ===


def _input(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    shape = layer.batch_shape[1:]
    if None in shape or len(shape) != 3:
        raise UserError(
            "An exported model takes pictures of one size. Received an input "
            f"of shape {shape}."
        )
    return graph.add("input", layer.name, shape=tuple(shape))


def _rescaling(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    if np.ndim(layer.scale) or np.ndim(layer.offset) or graph.scale != 1.0:
        raise UserError(
            "An export takes models with one scaling of the pixels by two "
            f"numbers. Received another one: {layer.name}."
        )
    graph.scale, graph.offset = float(layer.scale), float(layer.offset)
    return graph.add("scaling", layer.name, *inputs)


def _convolution(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    if layer.groups != 1 or tuple(layer.dilation_rate) != (1, 1):
        raise UserError(
            "An export knows convolutions without groups and dilation. "
            f"Received: {layer.name}."
        )
    kernel, shape = _array(layer.kernel), tuple(layer.output.shape[1:])
    margins = (0, 0, 0, 0)
    if layer.padding == "same":
        rows, columns = (
            _same(*axis)
            for axis in zip(
                inputs[0].shape[:2],
                shape[:2],
                kernel.shape[:2],
                layer.strides,
                strict=True,
            )
        )
        margins = (*rows, *columns)
    node = graph.add(
        "convolution",
        layer.name,
        *inputs,
        shape=shape,
        kernels=[kernel],
        bias=_bias(layer, kernel.shape[-1]),
        margins=[margins],
        strides=tuple(layer.strides),
    )
    return _activated(graph, layer, node)


def _same(size: int, outputs: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and behind, as TensorFlow pads."""
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _multi_scale(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    whole = _array(layer.fused_kernel())
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
        shape=tuple(layer.output.shape[1:]),
        kernels=kernels,
        bias=_bias(layer, whole.shape[-1]),
        margins=margins,
        strides=tuple(layer.strides),
    )
    return _activated(graph, layer, node)


def _dense(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    kernel = _array(layer.kernel)
    node = graph.add(
        "dense",
        layer.name,
        *inputs,
        shape=tuple(layer.output.shape[1:]),
        kernels=[kernel],
        bias=_bias(layer, kernel.shape[-1]),
    )
    return _activated(graph, layer, node)


def _activated(graph: Graph, layer: Any, node: Node) -> Node:
    """The node, and behind it the activation that its layer brings along."""
    name = keras.activations.serialize(layer.activation)
    if name == "linear":
        return node
    if name not in ("relu", "sigmoid", "softmax"):
        raise UserError(
            "An export knows the activations relu, sigmoid and softmax. "
            f"Received: {name}, at {layer.name}."
        )
    return graph.add(name, f"{layer.name}_{name}", node)


def _norm(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    factor = 1.0 / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        factor = factor * _array(layer.gamma)
    bias = -_array(layer.moving_mean) * factor
    if layer.center:
        bias = bias + _array(layer.beta)
    return graph.add("norm", layer.name, *inputs, factor=factor, bias=bias)


def _gate(graph: Graph, layer: WaveletGate, inputs: list[Node]) -> Node:
    (features,) = inputs
    sets = zip(
        layer._branches,
        layer.reduce_kernels,
        layer.wavelets,
        layer.expand_kernels,
        strict=True,
    )
    logits = None
    for pools, reduce, wavelet, expand in sets:
        # psi's own scale and shift are one more dense layer.
        scale = _array(_away_from_zero(wavelet.scale.value))
        shift = np.broadcast_to(_array(wavelet.shift), reduce.shape[-1])
        for pool in pools:
            name = f"{layer.name}_{pool}"
            channels = features.shape[-1]
            node = graph.add(
                f"global_{pool}", name, features, shape=(channels,)
            )
            node = graph.add(
                "dense",
                f"{name}_reduce",
                node,
                shape=(reduce.shape[-1],),
                kernels=[_array(reduce) / scale],
                bias=(-shift / scale).astype(np.float32),
            )
            node = _psi(graph, wavelet, node, f"{name}_psi")
            node = graph.add(
                "dense",
                f"{name}_expand",
                node,
                shape=(channels,),
                kernels=[_array(expand)],
                bias=np.zeros(channels, np.float32),
            )
            if logits is not None:
                node = graph.add("add", f"{layer.name}_sum", logits, node)
            logits = node
    gate = graph.add("sigmoid", f"{layer.name}_gate", logits)
    return graph.add("multiply", layer.name, features, gate)


def _psi(graph: Graph, layer: Morlet, node: Node, name: str) -> Node:
    return graph.add(
        "wavelet",
        name,
        node,
        wavelet=layer.wavelet,
        center_frequency=float(layer.center_frequency),
    )


def _pad(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    (top, bottom), (left, right) = layer.padding
    return graph.add(
        "pad",
        layer.name,
        *inputs,
        shape=tuple(layer.output.shape[1:]),
        margins=[(top, bottom, left, right)],
    )


def _max_pool(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    if layer.padding != "valid":
        raise UserError(
            'An export knows poolings of padding "valid". '
            f"Received: {layer.name}, {layer.padding!r}."
        )
    return graph.add(
        "max_pool",
        layer.name,
        *inputs,
        shape=tuple(layer.output.shape[1:]),
        size=tuple(layer.pool_size),
        strides=tuple(layer.strides),
    )


def _plain(kind: str) -> Callable[..., Node]:
    def rule(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
        shape = tuple(layer.output.shape[1:])
        return graph.add(kind, layer.name, *inputs, shape=shape)

    return rule


def _skip(graph: Graph, layer: Any, inputs: list[Node]) -> Node:
    return inputs[0]


_RULES: dict[type, Callable[..., Node]] = {
    layers.InputLayer: _input,
    layers.Rescaling: _rescaling,
    layers.Conv2D: _convolution,
    MultiScaleConv2D: _multi_scale,
    layers.BatchNormalization: _norm,
    layers.ReLU: _plain("relu"),
    layers.Add: _plain("add"),
    layers.ZeroPadding2D: _pad,
    layers.MaxPooling2D: _max_pool,
    WaveletChannelAttention: _gate,
    WaveletSqueezeExcitation: _gate,
    layers.GlobalAveragePooling2D: _plain("global_average"),
    layers.Flatten: _plain("flatten"),
    layers.Dropout: _skip,
    layers.Dense: _dense,
    layers.Softmax: _plain("softmax"),
}
