"""ONNX, for TensorRT and ONNX Runtime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerafer.errors import UserError
from kerafer.export.graph import Graph
from kerafer.export.node import Node

# TensorRT 8.6 parses up to opset 17, TensorRT 10 that and later ones.
OPSET, IR_VERSION = 17, 8


def onnx_bytes(graph: Graph) -> bytes:
    """Write a graph as an ONNX file.

    Its input `image` is the picture as it comes but in float32: values 0 to
    255, shape `(1, height, width, channels)`; its output `probabilities` has
    shape `(1, classes)`.

    Args:
        graph: What is computed.

    Raises:
        UserError: Where the package `onnx` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            "The format onnx needs one more package: pip install kerafer[onnx]"
        ) from error
    writer = _Writer(onnx, graph)
    model = onnx.helper.make_model(
        writer.graph(),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="kerafer",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


class _Writer:
    """Collects the nodes and constants; pictures are channels first here."""

    def __init__(self, onnx: Any, graph: Graph) -> None:
        self._onnx, self._graph = onnx, graph
        self._nodes, self._constants = [], []

    def graph(self) -> Any:
        values: dict[Node, str] = {}
        for node in self._graph.nodes:
            inputs = [values[source] for source in node.inputs] or ["image"]
            value = getattr(self, f"_{node.kind}")(node, *inputs)
            if node.relu:
                value = self._op("Relu", value)
            values[node] = value
        self._nodes[-1].output[0] = "probabilities"
        kind = self._onnx.TensorProto.FLOAT
        describe = self._onnx.helper.make_tensor_value_info
        return self._onnx.helper.make_graph(
            self._nodes,
            "kerafer",
            [describe("image", kind, (1, *self._graph.nodes[0].shape))],
            [describe("probabilities", kind, (1, self._graph.classes))],
            self._constants,
        )

    def _op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(
            self._onnx.helper.make_node(
                kind, inputs, [name], name=name, **attributes
            )
        )
        return name

    def _constant(self, value: Any, kind: type = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(value, kind)
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    # === A method for each kind ===

    def _input(self, node: Node, x: str) -> str:
        x = self._op("Transpose", x, perm=(0, 3, 1, 2))
        return self._op("Sub", x, self._constant(self._graph.zero))

    def _convolution(self, node: Node, x: str) -> str:
        parts, start = [], 0
        for kernel, margins in zip(node.kernels, node.margins, strict=True):
            end = start + kernel.shape[-1]
            top, bottom, left, right = margins
            parts.append(
                self._op(
                    "Conv",
                    x,
                    self._constant(kernel.transpose(3, 2, 0, 1)),
                    self._constant(node.bias[start:end]),
                    kernel_shape=kernel.shape[:2],
                    strides=node.strides,
                    pads=(top, left, bottom, right),
                    dilations=node.dilation,
                    group=node.inputs[0].shape[-1] // kernel.shape[2],
                )
            )
            start = end
        return (
            parts[0] if len(parts) == 1 else self._op("Concat", *parts, axis=1)
        )

    def _depthwise(self, node: Node, x: str) -> str:
        (kernel,) = node.kernels
        filters = kernel.transpose(2, 3, 0, 1).reshape(
            node.shape[-1], 1, *kernel.shape[:2]
        )
        return self._op(
            "Conv",
            x,
            self._constant(filters),
            self._constant(node.bias),
            kernel_shape=kernel.shape[:2],
            strides=node.strides,
            pads=_pads(node),
            dilations=node.dilation,
            group=kernel.shape[2],
        )

    def _dense(self, node: Node, x: str) -> str:
        kernel = self._constant(node.kernels[0])
        return self._op("Gemm", x, kernel, self._constant(node.bias))

    def _norm(self, node: Node, x: str) -> str:
        shape = (-1, 1, 1) if len(node.shape) == 3 else (-1,)
        x = self._op("Mul", x, self._constant(node.factor.reshape(shape)))
        if not node.bias.any():
            return x
        return self._op("Add", x, self._constant(node.bias.reshape(shape)))

    def _pad(self, node: Node, x: str) -> str:
        top, bottom, left, right = node.margins[0]
        pads = (0, 0, top, left, 0, 0, bottom, right)
        return self._op("Pad", x, self._constant(pads, np.int64))

    def _max_pool(self, node: Node, x: str) -> str:
        return self._op(
            "MaxPool",
            x,
            kernel_shape=node.size,
            strides=node.strides,
            pads=_pads(node),
        )

    def _average_pool(self, node: Node, x: str) -> str:
        return self._op(
            "AveragePool",
            x,
            kernel_shape=node.size,
            strides=node.strides,
            pads=_pads(node),
        )

    def _axis_max(self, node: Node, x: str) -> str:
        return self._op("ReduceMax", x, axes=[_axis(node, node.axis)])

    def _axis_mean(self, node: Node, x: str) -> str:
        return self._op("ReduceMean", x, axes=[_axis(node, node.axis)])

    def _global_max(self, node: Node, x: str) -> str:
        return self._op("Flatten", self._op("GlobalMaxPool", x))

    def _global_average(self, node: Node, x: str) -> str:
        return self._op("Flatten", self._op("GlobalAveragePool", x))

    def _reshape(self, node: Node, x: str) -> str:
        # The numbers keep the order that they have with channels last.
        (source,) = node.inputs
        if not _one_order(source.shape):
            x = self._op("Transpose", x, perm=(0, 2, 3, 1))
        first = _one_order(node.shape)
        shape = _channels_first(node.shape) if first else node.shape
        x = self._op("Reshape", x, self._constant((1, *shape), np.int64))
        return x if first else self._op("Transpose", x, perm=(0, 3, 1, 2))

    def _concatenate(self, node: Node, *inputs: str) -> str:
        return self._op("Concat", *inputs, axis=_axis(node, node.axis))

    def _slice(self, node: Node, x: str) -> str:
        axes = range(len(node.shape))
        ends = np.add(node.start, node.shape)
        cut = [
            axis
            for axis in axes
            if node.shape[axis] != node.inputs[0].shape[axis]
        ]
        return self._op(
            "Slice",
            x,
            self._constant([node.start[axis] for axis in cut], np.int64),
            self._constant([ends[axis] for axis in cut], np.int64),
            self._constant([_axis(node, axis) for axis in cut], np.int64),
        )

    def _nearest(self, node: Node, x: str) -> str:
        return self._resized(
            node,
            x,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def _bilinear(self, node: Node, x: str) -> str:
        return self._resized(
            node,
            x,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _resized(self, node: Node, x: str, **attributes: str) -> str:
        scales = self._constant((1, 1, *node.size))
        return self._op("Resize", x, "", scales, **attributes)

    def _relu(self, node: Node, x: str) -> str:
        return self._op("Relu", x)

    def _relu6(self, node: Node, x: str) -> str:
        return self._op("Clip", x, self._constant(0.0), self._constant(6.0))

    def _prelu(self, node: Node, x: str) -> str:
        slope = node.factor
        if slope.ndim == 3:
            slope = slope.transpose(2, 0, 1)
        return self._op("PRelu", x, self._constant(slope))

    def _hard_swish(self, node: Node, x: str) -> str:
        return self._op("HardSwish", x)

    def _sigmoid(self, node: Node, x: str) -> str:
        return self._op("Sigmoid", x)

    def _softmax(self, node: Node, x: str) -> str:
        return self._op("Softmax", x, axis=1)

    def _add(self, node: Node, *inputs: str) -> str:
        return self._op("Add", *inputs)

    def _subtract(self, node: Node, *inputs: str) -> str:
        return self._op("Sub", *inputs)

    def _multiply(self, node: Node, *inputs: str) -> str:
        return self._op("Mul", *inputs)

    def _maximum(self, node: Node, *inputs: str) -> str:
        return self._op("Max", *inputs)

    def _wavelet(self, node: Node, t: str) -> str:
        square = self._op("Mul", t, t)
        if node.wavelet == "morlet":
            turned = self._times(t, node.center_frequency)
            wave = self._op("Cos", turned)
        elif node.wavelet == "mexh":
            norm = 2.0 / (math.sqrt(3.0) * math.pi**0.25)
            wave = self._plus(self._times(square, -norm), norm)
        elif node.wavelet == "gaus1":
            wave = self._times(t, -2.0 / (math.pi / 2.0) ** 0.25)
        else:
            norm = math.sqrt(3.0) * (math.pi / 2.0) ** 0.25
            wave = self._plus(self._times(square, -4.0 / norm), 2.0 / norm)
        fading = -1.0 if node.wavelet.startswith("gaus") else -0.5
        envelope = self._op("Exp", self._times(square, fading))
        return self._op("Mul", wave, envelope)

    def _times(self, x: str, factor: float) -> str:
        return self._op("Mul", x, self._constant(factor))

    def _plus(self, x: str, term: float) -> str:
        return self._op("Add", x, self._constant(term))


def _pads(node: Node) -> tuple[int, ...]:
    ((top, bottom, left, right),) = node.margins
    return top, left, bottom, right


def _axis(node: Node, axis: int) -> int:
    """Where an axis of a node is with the batch, and channels first."""
    return 1 if axis == len(node.shape) - 1 else axis + 2


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1])


def _one_order(shape: tuple[int, ...]) -> bool:
    """Whether the numbers are in the same order with channels first."""
    return shape[-1] == 1 or math.prod(shape[:-1]) == 1
