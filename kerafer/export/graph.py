"""Trace a Keras model into a frozen TensorFlow graph."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from kerafer.errors import UserError, first_line
from kerafer.export.image_input import LUMINANCE, ImageInput
from kerafer.files import native_path
from kerafer.layers.ramps import constants_for_export

INPUT = "image"
# The only name of a model's only output, whatever the model is.
OUTPUT = "probabilities"

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class FrozenGraph:
    """A graph whose weights are constants.

    Args:
        function: From the image to the outputs in order.
        outputs: Their names.
    """

    function: Any
    outputs: tuple[str, ...]

    @property
    def graph(self) -> bytes:
        """The graph in TensorFlow's format."""
        return self.function.graph.as_graph_def().SerializeToString()

    @property
    def operators(self) -> set[str]:
        """Names of TensorFlow's operators, also inside functions."""
        graph = self.function.graph.as_graph_def()
        bodies = (f.node_def for f in graph.library.function)
        return {node.op for body in (graph.node, *bodies) for node in body}

    @property
    def tensors(self) -> list[str]:
        """Names of the graph's input and of its outputs."""
        return [t.name for t in (*self.function.inputs, *self.function.outputs)]


def freeze_graph(
    model: keras.Model,
    given: ImageInput,
    batch: int | None = 1,
    kind: str | None = None,
    integer: bool = False,
) -> FrozenGraph:
    """Trace a model as it predicts, and freeze it.

    Args:
        model: Built, in float32.
        given: What the files take.
        batch: Number of images, or `None` for any number. Default: 1.
        kind: Type of the input. Default: `given.kind`.
        integer: Whether wavelets are computed as ramps. Default: False.

    Raises:
        UserError: If the model does not run on such an image.
    """
    names: list[str] = []
    spec = tf.TensorSpec((batch, *given.shape), kind or given.kind, INPUT)
    # An int8 file rounds a gray image anyway.
    rounds = given.kind == "uint8" and not integer

    def run(image: tf.Tensor) -> list[tf.Tensor]:
        x = tf.cast(image, tf.float32)
        if given.to_gray:
            weights = tf.reshape(tf.constant(LUMINANCE), (1, 1, 3, 1))
            x = tf.nn.conv2d(x, weights, 1, "VALID")
            x = tf.floor(x + 0.5) if rounds else x
        found = named_outputs(model, model(x, training=False))
        names[:] = found
        return [tf.identity(tf.cast(y, tf.float32)) for y in found.values()]

    traced = tf.function(run, autograph=False, input_signature=[spec])
    with (
        constants_for_export(model, integer),
        _must_run(model, given),
        _inlined(),
    ):
        concrete = traced.get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete)
    return FrozenGraph(_separate_bias(frozen), tuple(names))


def import_graph(graph: Any, tensors: Sequence[str]) -> Any:
    """Make a function of a graph.

    Args:
        graph: In TensorFlow's format.
        tensors: Names of the input and of the outputs.
    """
    whole = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph, name=""), []
    )
    given, *answers = map(whole.graph.get_tensor_by_name, tensors)
    return whole.prune(given, answers)


@contextlib.contextmanager
def _must_run(model: keras.Model, given: ImageInput) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{model.name} must run on one image of "
            f"{' x '.join(map(str, given.shape))}. It does not: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


@contextlib.contextmanager
def _inlined() -> Iterator[None]:
    """Trace functions inside a model as part of its graph.

    Keras marks convolutions of groups as functions for XLA. No converter
    folds a normalization into them, and ONNX does not know them.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _separate_bias(frozen: Any) -> Any:
    """Add the biases of convolutions of groups by an addition of their own.

    TensorFlow fuses a BiasAdd with the convolution, and where it computes
    without oneDNN, as on processors without AVX-512, it then knows no groups.
    """
    graph = frozen.graph.as_graph_def()
    nodes = {node.name: node for node in graph.node}
    changed = False
    for node in graph.node:
        if node.op != "BiasAdd" or node.attr["data_format"].s == b"NCHW":
            continue
        layer = nodes.get(node.input[0].partition(":")[0])
        if layer is not None and _has_groups(frozen.graph, layer):
            node.op = "AddV2"
            del node.attr["data_format"]
            changed = True
    if not changed:
        return frozen
    tensors = [t.name for t in (*frozen.inputs, *frozen.outputs)]
    return import_graph(graph, tensors)


def _has_groups(graph: Any, node: Any) -> bool:
    if node.op != "Conv2D":
        return False
    images, kernel = graph.get_operation_by_name(node.name).inputs
    return images.shape[-1] != kernel.shape[2]


def named_outputs(model: keras.Model, answer: Any) -> dict[str, Any]:
    """Give the outputs of a model names that files can have.

    Args:
        model: Tells the names of the outputs of a list.
        answer: What it returned: one tensor, or a list or dictionary of such.

    Raises:
        UserError: For something else.
    """
    if isinstance(answer, dict):
        pairs = list(answer.items())
    elif isinstance(answer, (list, tuple)):
        known = getattr(model, "output_names", None) or []
        if len(known) != len(answer):
            known = [f"output_{index}" for index in range(len(answer))]
        pairs = list(zip(known, answer, strict=True))
    else:
        pairs = [(OUTPUT, answer)]
    if len(pairs) == 1:
        pairs = [(OUTPUT, pairs[0][1])]
    found: dict[str, Any] = {}
    for name, tensor in pairs:
        if not hasattr(tensor, "shape"):
            raise UserError(
                "A model gives a tensor, or a list or dictionary of tensors. "
                f"{model.name} gives {type(tensor).__name__} in it."
            )
        plain = re.sub(r"\W+", "_", str(name)) or "output"
        while plain in found or plain == INPUT:
            plain += "_"
        found[plain] = tensor
    return found


def predict_with_keras(
    model: keras.Model, given: ImageInput, images: np.ndarray
) -> dict[str, np.ndarray]:
    """Predict with a Keras model.

    Args:
        model: The model.
        given: What the files take.
        images: As the files take them, `(images, *given.shape)`; one or more.

    Returns:
        An array for each output, by name.

    Raises:
        UserError: If the model does not run on them.
    """
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(images), _BATCH):
        batch = given.for_model(images[start : start + _BATCH])
        # Models of a class of their own may not know bytes.
        batch = batch.astype(np.float32)
        with _must_run(model, given):
            answer = named_outputs(model, model.predict_on_batch(batch))
        for name, y in answer.items():
            found.setdefault(name, []).append(np.asarray(y, np.float32))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def save_graph(graph: FrozenGraph, folder: Path) -> None:
    """Write a graph as a SavedModel, which needs no other package.

    Its signature `serving_default` maps `image` to the outputs by name.

    Args:
        graph: Of any batch.
        folder: Is created.
    """
    module = tf.Module()
    frozen, (given,) = graph.function, graph.function.inputs
    spec = tf.TensorSpec(given.shape, given.dtype, INPUT)

    @tf.function(input_signature=[spec])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = frozen(image)
        return dict(zip(graph.outputs, answers, strict=True))

    module.serve = serve
    # Some gradients of a frozen graph cannot be written.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    os.makedirs(folder, exist_ok=True)
    with native_path(folder) as path:
        tf.saved_model.save(
            module, path, serve.get_concrete_function(), options=options
        )
