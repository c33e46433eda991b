"""The plain operations in TensorFlow."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from kerafer.export.graph import Graph
from kerafer.export.layer_rules import same_margins
from kerafer.export.node import Margins, Node
from kerafer.export.psi_table import PsiTable
from kerafer.layers.wavelets import WAVELETS


class Module(tf.Module):
    """A graph as a TensorFlow function.

    Args:
        graph: What is computed.
        form: Of convolutions with several branches: `separate`, one each and
            a concatenation; `fused`, one with zeros in its kernel; `blocks`,
            fused, and where it steps by more than 1 on the picture itself, on
            blocks of pixels instead: 3 channels leave most of an 8-bit
            kernel's width unused.
        quantized: Whether the input is not the uint8 picture but what a
            quantized tensor stands for, `(pixel - round(zero)) * scale`.
            Defaults to `False`.
        batch: Pictures at once, `None` for any number. Defaults to 1.

    Attributes:
        function: The `tf.function`, from `image` to `probabilities`.
    """

    def __init__(
        self,
        graph: Graph,
        form: str,
        quantized: bool = False,
        batch: int | None = 1,
    ) -> None:
        super().__init__(name="kerafer")
        self._graph = graph
        self._form = form
        self._quantized = quantized
        self._constants: dict[str, tf.Variable] = {}
        shape = (batch, *graph.nodes[0].shape)
        kind = tf.float32 if quantized else tf.uint8
        spec = tf.TensorSpec(shape, kind, "image")
        self.function = tf.function(
            self._call, input_signature=[spec], autograph=False
        )
        self.function.get_concrete_function()

    def _call(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        values: dict[Node, tf.Tensor] = {}
        for node in self._graph.nodes:
            inputs = [values[source] for source in node.inputs] or [image]
            # So a file's tensors are called as the layers that make them.
            with tf.name_scope(_scope(node.name)):
                values[node] = self._result(node, *inputs)
        return {"probabilities": values[self._graph.nodes[-1]]}

    def _result(self, node: Node, *inputs: tf.Tensor) -> tf.Tensor:
        if node.kind in _PLAIN:
            return _PLAIN[node.kind](*inputs)
        return getattr(self, f"_{node.kind}")(node, *inputs)

    def _constant(self, name: str, value: np.ndarray) -> tf.Variable:
        # TensorFlow traces a function more than once, and takes long for a
        # variable that is made within it.
        if name not in self._constants:
            with tf.init_scope():
                self._constants[name] = tf.Variable(
                    value.astype(np.float32), trainable=False, name=_scope(name)
                )
        return self._constants[name]

    def _input(self, node: Node, image: tf.Tensor) -> tf.Tensor:
        if self._quantized:
            return image
        return tf.cast(image, tf.float32) - self._graph.zero

    def _convolution(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        node = self._for_input(node)
        branches = list(zip(node.kernels, node.margins, strict=True))
        if self._form != "separate" and len(branches) > 1:
            branches = [fuse(node)]
        if self._form == "blocks" and node.inputs[0].kind == "input":
            blocks = in_blocks(node, x.shape[1:3])
            if blocks is not None:
                kernel, margins = blocks
                x = tf.nn.space_to_depth(_pad(x, margins), node.strides[0])
                node = dataclasses.replace(node, strides=(1, 1))
                branches = [(kernel, (0, 0, 0, 0))]
        parts, start = [], 0
        for index, (kernel, margins) in enumerate(branches):
            name, end = f"{node.name}_{index}", start + kernel.shape[-1]
            branch = dataclasses.replace(
                node, kernels=[kernel], margins=[margins]
            )
            padded, padding = _padded(x, branch)
            weights = self._constant(f"{name}_kernel", kernel)
            part = tf.nn.conv2d(
                padded, weights, node.strides, padding, dilations=node.dilation
            )
            part += self._constant(f"{name}_bias", node.bias[start:end])
            # Here, not behind the concatenation, it is part of the kernel.
            parts.append(tf.nn.relu(part) if node.relu else part)
            start = end
        return parts[0] if len(parts) == 1 else tf.concat(parts, -1)

    def _depthwise(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        node = self._for_input(node)
        padded, padding = _padded(x, node)
        x = tf.nn.depthwise_conv2d(
            padded,
            self._constant(f"{node.name}_kernel", node.kernels[0]),
            (1, *node.strides, 1),
            padding,
            dilations=node.dilation,
        )
        x += self._constant(f"{node.name}_bias", node.bias)
        return tf.nn.relu(x) if node.relu else x

    def _for_input(self, node: Node) -> Node:
        """A convolution for the pixels as they come, if they come to it."""
        if self._quantized and node.inputs[0].kind == "input":
            return self._graph.shifted(node)
        return node

    def _dense(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        kernel, bias = node.kernels[0], node.bias
        tabled = self._quantized and any(
            other.kind == "wavelet" for other in self._graph.consumers(node)
        )
        if tabled:
            kernel, bias = PsiTable.spread(kernel, bias)
        x = tf.matmul(x, self._constant(f"{node.name}_kernel", kernel))
        if bias.any():
            x += self._constant(f"{node.name}_bias", bias)
        if tabled:
            return tf.nn.relu6(x)
        return tf.nn.relu(x) if node.relu else x

    def _add(self, node: Node, *inputs: tf.Tensor) -> tf.Tensor:
        x = tf.add(*inputs)
        return tf.nn.relu(x) if node.relu else x

    def _norm(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        x *= self._constant(f"{node.name}_factor", node.factor)
        if node.bias.any():
            x += self._constant(f"{node.name}_bias", node.bias)
        return x

    def _prelu(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        # The converter knows PReLU by this form.
        slope = self._constant(f"{node.name}_slope", node.factor)
        return tf.nn.relu(x) + (-slope) * tf.nn.relu(-x)

    def _pad(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return _pad(x, node.margins[0])

    def _slice(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.slice(x, (0, *node.start), (-1, *node.shape))

    def _max_pool(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        padding = "SAME" if any(node.margins[0]) else "VALID"
        return tf.nn.max_pool2d(x, node.size, node.strides, padding)

    def _average_pool(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        padding = "SAME" if any(node.margins[0]) else "VALID"
        return tf.nn.avg_pool2d(x, node.size, node.strides, padding)

    def _axis_max(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(x, 1 + node.axis, keepdims=True)

    def _axis_mean(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(x, 1 + node.axis, keepdims=True)

    def _concatenate(self, node: Node, *inputs: tf.Tensor) -> tf.Tensor:
        parts = [
            self._apart(source, x) if _narrowed(source) else x
            for source, x in zip(node.inputs, inputs, strict=True)
        ]
        return tf.concat(parts, 1 + node.axis)

    def _maximum(self, node: Node, *inputs: tf.Tensor) -> tf.Tensor:
        parts = [
            self._apart(source, x)
            if _narrowed(source) or self._is_used_elsewhere(source)
            else x
            for source, x in zip(node.inputs, inputs, strict=True)
        ]
        return tf.maximum(*parts)

    def _is_used_elsewhere(self, node: Node) -> bool:
        return any(
            len(self._graph.consumers(one)) > 1 for one in _one_range(node)
        )

    def _apart(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        """The same numbers with an 8-bit range of their own.

        All that a concatenation or a maximum takes gets the range of the
        result, and so does all that those are slices or pools of: the
        converter would cut off what the result does not reach, for others
        that take it too. A kernel of ones ends that.
        """
        if not self._quantized:
            return x
        channels = node.shape[-1]
        ones = np.ones((1, 1, channels, 1))
        ones = self._constant(f"{node.name}_ones", ones)
        if len(node.shape) == 1:
            x = tf.reshape(x, (-1, 1, 1, channels))
        x = tf.nn.depthwise_conv2d(x, ones, (1, 1, 1, 1), "VALID")
        return tf.reshape(x, (-1, *node.shape))

    def _reshape(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, (-1, *node.shape))

    def _nearest(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ResizeNearestNeighbor(
            images=x, size=node.shape[:2], half_pixel_centers=True
        )

    def _bilinear(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ResizeBilinear(
            images=x, size=node.shape[:2], half_pixel_centers=True
        )

    def _wavelet(self, node: Node, t: tf.Tensor) -> tf.Tensor:
        if not self._quantized:
            return WAVELETS[node.wavelet](t, node.center_frequency)
        with tf.init_scope():
            table = PsiTable(node.wavelet, node.center_frequency).values()
        # The converter quantizes none of the three steps to the index, which
        # are taken out of the file when the scale of `t` is known.
        index = tf.cast(tf.math.floordiv(t, PsiTable.STEP), tf.int32)
        return tf.gather(tf.constant(table), index)


def _scope(name: str) -> str:
    """A name in the letters that TensorFlow allows."""
    return re.sub(r"[^A-Za-z0-9.]", "_", name).lstrip("_") or "unnamed"


def _one_range(node: Node) -> Iterator[Node]:
    """A node and those before it that share its 8-bit range."""
    yield node
    while node.kind in _RANGE_OF_INPUT:
        (node,) = node.inputs
        yield node


def _narrowed(node: Node) -> bool:
    """Whether numbers with the 8-bit range of a node can lie outside it."""
    *kinds, first = _one_range(node)
    kinds = {other.kind for other in kinds}
    if first.relu or first.kind in ("relu", "relu6", "sigmoid"):
        # From 0 to a maximum that stays.
        kinds -= _MAXIMA
    return not kinds.isdisjoint(_NARROWING)


def fuse(node: Node) -> tuple[np.ndarray, Margins]:
    """One kernel that computes all branches of a convolution, and its margins.

    The kernels are padded with zeros around their common centre.
    """
    margins = tuple(np.max(node.margins, axis=0).tolist())
    kernels = []
    for kernel, own in zip(node.kernels, node.margins, strict=True):
        top, bottom, left, right = np.subtract(margins, own)
        kernels.append(
            np.pad(kernel, ((top, bottom), (left, right), (0, 0), (0, 0)))
        )
    return np.concatenate(kernels, axis=-1), margins


def in_blocks(
    node: Node, size: tuple[int, int]
) -> tuple[np.ndarray, Margins] | None:
    """A fused convolution of stride s as one of stride 1 on s x s blocks.

    Args:
        node: The convolution.
        size: Height and width of its input.

    Returns:
        The kernel for the channels of a block, and zeros around the input
        before it is cut into blocks; `None` where it does not divide so.
    """
    kernel, margins = fuse(node)
    step = node.strides[0]
    exact = (
        set(node.strides) == {step}
        and len(set(margins)) == 1
        and step > 1
        and node.dilation == (1, 1)
        and not any(side % step for side in size)
        and all(
            side // step == out
            for side, out in zip(size, node.shape[:2], strict=True)
        )
    )
    if not exact:
        return None
    margin = margins[0]
    before = -(-margin // step)
    behind = -(-(len(kernel) - margin) // step)
    blocks = before + behind
    extra = (before * step - margin, behind * step - len(kernel) + margin)
    kernel = np.pad(kernel, (extra, extra, (0, 0), (0, 0)))
    channels, outputs = kernel.shape[2:]
    kernel = kernel.reshape(
        blocks, step, blocks, step, channels, outputs
    ).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(blocks, blocks, step * step * channels, outputs)
    first, last = before * step, (blocks - 1 - before) * step
    return kernel, (first, last, first, last)


def _padded(x: tf.Tensor, node: Node) -> tuple[tf.Tensor, str]:
    """The input and the word that pad it so, without an operation if can be."""
    (margins,), (extent,) = node.margins, node.extents
    if not any(margins):
        return x, "VALID"
    size = tuple(x.shape[1:3])
    outputs = tuple(
        -(-side // step) for side, step in zip(size, node.strides, strict=True)
    )
    same = same_margins(size, outputs, extent, node.strides)
    return (x, "SAME") if same == margins else (_pad(x, margins), "VALID")


def _pad(x: tf.Tensor, margins: Margins) -> tf.Tensor:
    top, bottom, left, right = margins
    return tf.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


_MAXIMA = {"max_pool", "axis_max", "global_max"}
_NARROWING = {*_MAXIMA, "average_pool", "slice", "bilinear"}
_RANGE_OF_INPUT = {*_NARROWING, "nearest", "pad", "reshape"}

_PLAIN: dict[str, Callable[..., tf.Tensor]] = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    # The converter knows it by this form.
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0),
    "sigmoid": tf.sigmoid,
    "softmax": tf.nn.softmax,
    "subtract": tf.subtract,
    "multiply": tf.multiply,
    "global_max": lambda x: tf.reduce_max(x, (1, 2)),
    "global_average": lambda x: tf.reduce_mean(x, (1, 2)),
}
