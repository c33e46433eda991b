"""The plain operations in TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kerafer.export.graph import Graph, Margins, Node
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
            if node.kind in _PLAIN:
                values[node] = _PLAIN[node.kind](*inputs)
            else:
                values[node] = getattr(self, f"_{node.kind}")(node, *inputs)
        return {"probabilities": values[self._graph.nodes[-1]]}

    def _constant(self, name: str, value: np.ndarray) -> tf.Variable:
        # TensorFlow traces a function more than once.
        if name not in self._constants:
            self._constants[name] = tf.Variable(
                value.astype(np.float32), trainable=False, name=name
            )
        return self._constants[name]

    def _input(self, node: Node, image: tf.Tensor) -> tf.Tensor:
        if self._quantized:
            return image
        return tf.cast(image, tf.float32) - self._graph.zero

    def _convolution(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        if self._quantized and node.inputs[0].kind == "input":
            node = self._graph.shifted(node)
        branches = list(zip(node.kernels, node.margins, strict=True))
        if self._form != "separate":
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
            padded, padding = _padded(x, margins, kernel.shape, node.strides)
            weights = self._constant(f"{name}_kernel", kernel)
            part = tf.nn.conv2d(padded, weights, node.strides, padding)
            part += self._constant(f"{name}_bias", node.bias[start:end])
            # Here, not behind the concatenation, it is part of the kernel.
            parts.append(tf.nn.relu(part) if node.relu else part)
            start = end
        return parts[0] if len(parts) == 1 else tf.concat(parts, -1)

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
        factor = self._constant(f"{node.name}_factor", node.factor)
        return x * factor + self._constant(f"{node.name}_bias", node.bias)

    def _pad(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return _pad(x, node.margins[0])

    def _max_pool(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.max_pool2d(x, node.size, node.strides, "VALID")

    def _multiply(self, node: Node, x: tf.Tensor, gate: tf.Tensor) -> tf.Tensor:
        return x * tf.reshape(gate, (-1, 1, 1, gate.shape[-1]))

    def _flatten(self, node: Node, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, (-1, node.shape[0]))

    def _wavelet(self, node: Node, t: tf.Tensor) -> tf.Tensor:
        if not self._quantized:
            return WAVELETS[node.wavelet](t, node.center_frequency)
        with tf.init_scope():
            table = PsiTable(node.wavelet, node.center_frequency).values()
        # The converter quantizes none of the three steps to the index, which
        # are taken out of the file when the scale of `t` is known.
        index = tf.cast(tf.math.floordiv(t, PsiTable.STEP), tf.int32)
        return tf.gather(tf.constant(table), index)


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


def _padded(
    x: tf.Tensor, margins: Margins, kernel: tuple, strides: tuple
) -> tuple[tf.Tensor, str]:
    """The input and the word that pad it so, without an operation if can be."""
    if not any(margins):
        return x, "VALID"
    same = ()
    for size, taps, step in zip(x.shape[1:3], kernel, strides, strict=False):
        total = max((-(-size // step) - 1) * step + taps - size, 0)
        same += (total // 2, total - total // 2)
    return (x, "SAME") if same == margins else (_pad(x, margins), "VALID")


def _pad(x: tf.Tensor, margins: Margins) -> tf.Tensor:
    top, bottom, left, right = margins
    return tf.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


_PLAIN: dict[str, Callable[..., tf.Tensor]] = {
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    "softmax": tf.nn.softmax,
    "global_max": lambda x: tf.reduce_max(x, (1, 2)),
    "global_average": lambda x: tf.reduce_mean(x, (1, 2)),
}
