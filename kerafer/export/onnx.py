"""Write ONNX files with tf2onnx, and quantize them with ONNX Runtime."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kerafer.errors import UserError, first_line
from kerafer.export.converter import calibration_inputs
from kerafer.export.graph import INPUT, FrozenGraph
from kerafer.export.operators import describe_operators
from kerafer.extras import extra_for
from kerafer.inference.input_range import METADATA_KEY

# TensorRT of JetPack 6 takes it.
OPSET = 17
# What TensorRT computes in 8 bits. The softmax at the end stays in floats.
_QUANTIZED = (
    *("Add", "AveragePool", "Concat", "Conv", "ConvTranspose", "Gemm"),
    *("GlobalAveragePool", "MatMul", "MaxPool", "Mul", "ReduceMean"),
)


def onnx_bytes(made: FrozenGraph, input_range: str) -> bytes:
    """Convert a graph, for ONNX Runtime, OpenVINO or TensorRT.

    Args:
        made: Of any batch, and of floats: TensorRT has no other input.
        input_range: The values that it takes, or `"unknown"`.

    Returns:
        The file: `image`, float32 of shape `(batch, height, width, channels)`,
        to the outputs by their names.

    Raises:
        UserError: If tf2onnx is missing or lacks an operator.
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


def quantize_onnx(content: bytes, images: np.ndarray) -> bytes:
    """Add nodes that quantize weights and activations to int8 (QDQ).

    Ranges are symmetric, as TensorRT requires.

    Args:
        content: A file as from `onnx_bytes`.
        images: Calibrate the activations; as the exported files take them.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._inputs = calibration_inputs(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._inputs, None)
            return None if image is None else {INPUT: image[0]}

    with _silent(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        model = onnx.load_from_string(content)
        quantization.quantize_static(
            model,
            file,
            Reader(),
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_exclude=_before_first_layer(model.graph),
            per_channel=True,
            extra_options={
                "ActivationSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
            },
        )
        return file.read_bytes()


def _before_first_layer(graph: Any) -> list[str]:
    """Name the nodes that scale pixels, whose range is not symmetric."""
    scaled, names = {INPUT}, []
    for node in graph.node:
        is_layer = node.op_type in ("Conv", "Gemm", "MatMul")
        if not is_layer and scaled & set(node.input):
            scaled |= set(node.output)
            names.append(node.name)
    return names


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Compute Erfc, of gelu, as `1 - Erf`, which ONNX has."""
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
    """Drop what the converters log about each of their steps."""
    loggers = [logging.getLogger(x) for x in ("tf2onnx", "tensorflow", None)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
