"""A trained model as a short list of plain operations."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kerafer.errors import UserError
from kerafer.export.attention_rules import ATTENTION_RULES
from kerafer.export.layer_rules import LAYER_RULES
from kerafer.export.node import Node

_RULES = {**LAYER_RULES, **ATTENTION_RULES}
_CONVOLUTIONS = ("convolution", "depthwise")


class Graph:
    """What a trained model computes for one picture, ready for inference.

    Dropout is gone; BatchNorm, constant factors and the factor of the pixels'
    scaling are part of the convolutions and dense layers; the attention layers
    are plain operations around the bare wavelet; all numbers are float32
    constants, whatever the training computed in. What is left of the scaling
    is `pixel - zero`.

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
        for call in _calls(model):
            inputs = [made[id(tensor)] for tensor in call.input_tensors]
            output = call.outputs[0]
            made[id(output)] = self._rule(call.operation)(
                self, call.operation, inputs, tuple(output.shape[1:])
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
        if node.kind == "depthwise":
            sums = [kernel.sum(axis=(0, 1)).ravel() for kernel in kernels]
        else:
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
        if any(node.name == name for node in self.nodes):
            # A layer that is used twice.
            name = f"{name}_{len(self.nodes)}"
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
            if source.kind not in (*_CONVOLUTIONS, "dense"):
                continue
            if len(self.consumers(source)) > 1:
                continue
            if source.kind == "depthwise":
                shapes = [kernel.shape[2:] for kernel in source.kernels]
            else:
                shapes = [kernel.shape[-1:] for kernel in source.kernels]
            ends = np.cumsum([np.prod(shape) for shape in shapes])
            factors = np.split(node.factor, ends[:-1])
            source.kernels = [
                kernel * factor.reshape(shape)
                for kernel, factor, shape in zip(
                    source.kernels, factors, shapes, strict=True
                )
            ]
            source.bias = source.bias * node.factor + node.bias
            self._remove(node)

    def _fold_margins(self) -> None:
        for node in [n for n in self.nodes if n.kind == "pad"]:
            consumers = self.consumers(node)
            if any(other.kind not in _CONVOLUTIONS for other in consumers):
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
                source.kind in (*_CONVOLUTIONS, "dense", "add")
                and len(self.consumers(source)) == 1
            ):
                source.relu = True
                self._remove(node)

    def _fold_scaling(self) -> None:
        for node in [n for n in self.nodes if n.kind == "scaling"]:
            consumers = self.consumers(node)
            if any(other.kind not in _CONVOLUTIONS for other in consumers):
                raise UserError(
                    "An export takes models that scale the pixels first and "
                    "convolve them then. Received another order, at "
                    f"{node.name}."
                )
            for other in consumers:
                other.kernels = [k * self.scale for k in other.kernels]
            self._remove(node)


def _calls(model: keras.Model) -> Iterator[Any]:
    """Every use of a layer, as Keras keeps it, each behind its inputs'."""
    # A layer's own `input` and `output` are those of its first use alone.
    by_depth = getattr(model, "_nodes_by_depth", None)
    if by_depth is None or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            "An export takes functional models with one input and one output. "
            f"Received: {model.name}, a {type(model).__name__}."
        )
    for depth in sorted(by_depth, reverse=True):
        yield from by_depth[depth]
