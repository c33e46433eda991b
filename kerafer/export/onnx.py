"""ONNX files, by tf2onnx."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from kerafer.errors import UserError, first_line
from kerafer.export.graph import INPUT, FrozenGraph
from kerafer.export.operators import describe_operators
from kerafer.extras import extra_for
from kerafer.inference.input_range import METADATA_KEY

# TensorRT of JetPack 6 takes it.
OPSET = 17


def onnx_bytes(made: FrozenGraph, input_range: str) -> bytes:
    """Convert a graph, for onnxruntime, OpenVINO or TensorRT.

    Args:
        made: Of any batch, and of floats: TensorRT has no other input.
        input_range: The values that it takes, or `"unknown"`.

    Returns:
        The file: `image`, float32 of shape `(batch, height, width, channels)`,
        to the outputs by their names.

    Raises:
        UserError: Where tf2onnx is missing or does not know an operation.
    """
    with extra_for("An .onnx file"):
        import onnx
        from tf2onnx import convert
    given, *answers = made.tensors
    with _silent():
        try:
            model, _ = convert.from_graph_def(
                made.function.graph.as_graph_def(),
                name="model",
                input_names=[given],
                output_names=answers,
                opset=OPSET,
                custom_op_handlers={"Erfc": (_erfc, [])},
            )
        except Exception as error:
            raise UserError(
                f"tf2onnx does not take this model: {first_line(error)}"
            ) from error
    # What tf2onnx does not know keeps TensorFlow's name.
    unknown = {
        node.op_type
        for node in model.graph.node
        if not node.domain and not onnx.defs.has(node.op_type, OPSET)
    }
    if unknown:
        raise UserError(f"ONNX lacks operators. {describe_operators(unknown)}")
    _rename(model.graph, dict(zip(answers, made.outputs, strict=True)))
    _rename(model.graph, {given: INPUT})
    onnx.helper.set_model_props(model, {METADATA_KEY: input_range})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """`1 - Erf`, which ONNX has in place of Erfc (in gelu)."""
    import numpy as np

    (given,), (answer,) = node.input, node.output
    shape, kind = context.get_shape(answer), context.get_dtype(answer)
    context.remove_node(name)
    erf = context.make_node("Erf", [given], dtypes=[kind], shapes=[shape])
    one = context.make_const(f"{name}_one", np.float32(1))
    context.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        outputs=[answer],
        name=name,
        dtypes=[kind],
        shapes=[shape],
    )


def _rename(graph: Any, names: dict[str, str]) -> None:
    for values in (graph.input, graph.output):
        for value in values:
            value.name = names.get(value.name, value.name)
    for node in graph.node:
        for place in (node.input, node.output):
            place[:] = [names.get(name, name) for name in place]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """tf2onnx logs each of its steps, and TensorFlow what is old of them."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
