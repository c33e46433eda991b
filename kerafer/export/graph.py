"""Trace a Keras model into a frozen TensorFlow graph."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
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
_COMPILED = "_XlaMustCompile"


@dataclasses.dataclass(frozen=True)
class FrozenGraph:
    """A frozen graph.

    Args:
        function: Of the image alone; returns the outputs in order. Its
            weights are constants.
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
        batch: Images at once; `None` is any number. Defaults to 1.
        kind: The input tensor's, in place of `given.kind`.
        integer: Whether wavelets are computed as ramps. Default: False.

    Raises:
        UserError: Where the model can't be run on such an image.
    """
    names: list[str] = []
    kind = kind or given.kind
    spec = tf.TensorSpec((batch, *given.shape), kind, INPUT)
    # In 8 bits a gray image is rounded anyway, and has no other way to be.
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
    with constants_for_export(model, integer), _must_run(model, given):
        concrete = traced.get_concrete_function()
    frozen = _inlined(convert_variables_to_constants_v2(concrete))
    return FrozenGraph(frozen, tuple(names))


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


def _inlined(frozen: Any) -> Any:
    """The same graph without functions that are marked for XLA.

    Keras' convolutions of groups are such ones. No converter folds a
    normalization into them, and ONNX does not know them.
    """
    graph = frozen.graph.as_graph_def()
    functions = graph.library.function
    nodes = [*graph.node, *(n for f in functions for n in f.node_def)]
    marked = [x for x in (*nodes, *functions) if _COMPILED in x.attr]
    if not marked:
        return frozen
    for body in (graph.node, *(f.node_def for f in functions)):
        _add_plainly(body)
    for one in marked:
        del one.attr[_COMPILED]
    # TensorFlow takes one function of a name, and has these already.
    names = {f.signature.name: f"{f.signature.name}_plain" for f in functions}
    for function in functions:
        function.signature.name = names[function.signature.name]
    for node in nodes:
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            for called in (value.func, *value.list.func):
                if called.name:
                    called.name = names.get(called.name, called.name)
    graph.library.ClearField("gradient")
    whole = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph, name=""), []
    )
    find = whole.graph.get_tensor_by_name
    pruned = whole.prune(
        [find(t.name) for t in frozen.inputs],
        [find(t.name) for t in frozen.outputs],
    )
    return convert_variables_to_constants_v2(pruned, aggressive_inlining=True)


def _add_plainly(body: Sequence[Any]) -> None:
    """Make a sum of each bias that is added to what a marked function gives.

    TensorFlow fuses the other with the convolution, and where it computes
    without oneDNN, as on processors without AVX-512, it then knows no groups.
    """
    nodes = {node.name: node for node in body}
    for node in body:
        if node.op != "BiasAdd" or node.attr["data_format"].s == b"NCHW":
            continue
        source = nodes.get(_producer(node))
        while source is not None and source.op == "Identity":
            source = nodes.get(_producer(source))
        if source is not None and _COMPILED in source.attr:
            node.op = "AddV2"
            del node.attr["data_format"]


def _producer(node: Any) -> str:
    return node.input[0].partition(":")[0]


def named_outputs(model: keras.Model, answer: Any) -> dict[str, Any]:
    """The outputs of a model by names that files can have.

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
    """What the Keras model says, an array for each output, by its name.

    Args:
        model: The model.
        given: What the files take.
        images: As the files take them, `(images, *given.shape)`; one or more.

    Raises:
        UserError: Where the model can't be run on them.
    """
    found: dict[str, list[np.ndarray]] = {}
    # In steps of one size: the last would trace the model anew.
    for start in range(0, len(images), _BATCH):
        batch = given.for_model(images[start : start + _BATCH])
        # Models of a class of their own may not know bytes.
        batch = batch.astype(np.float32)
        with _must_run(model, given):
            answer = named_outputs(model, model.predict_on_batch(batch))
        for name, y in answer.items():
            found.setdefault(name, []).append(np.asarray(y, np.float32))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def save_graph(made: FrozenGraph, folder: str) -> None:
    """Write a frozen graph as a SavedModel, which needs no other package.

    Its signature `serving_default` maps `image` to the outputs by name.

    Args:
        made: Of any batch.
        folder: Is made.
    """
    module = tf.Module()
    frozen, (given,) = made.function, made.function.inputs
    spec = tf.TensorSpec(given.shape, given.dtype, INPUT)

    @tf.function(input_signature=[spec])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(made.outputs, frozen(image), strict=True))

    module.serve = serve
    # Gradients of a frozen graph nobody needs, and some can't be written.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    os.makedirs(folder, exist_ok=True)
    with native_path(folder) as path:
        tf.saved_model.save(
            module, path, serve.get_concrete_function(), options=options
        )
