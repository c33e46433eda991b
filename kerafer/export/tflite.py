"""LiteRT files from plain operations."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from kerafer.errors import UserError
from kerafer.export.graph import Graph
from kerafer.export.module import Module
from kerafer.export.psi_table import PsiTable
from kerafer.export.tflite_file import TfliteFile
from kerafer.quiet import stderr_held_back

FORMATS = ("float32", "float16", "dynamic", "int8", "integer")
QUANTIZED = ("int8", "integer")


def tflite(
    graph: Graph, kind: str, form: str, pictures: np.ndarray | None = None
) -> TfliteFile:
    """Convert a graph with TensorFlow's converter.

    Args:
        graph: What is computed.
        kind: `float32`; `float16`, weights of 16 bits; `dynamic`, weights of 8
            bits; `int8` and `integer`, weights and activations of 8 bits.
        form: As in `Module`.
        pictures: uint8, which the ranges of the activations are taken from,
            for `int8` and `integer`.

    Returns:
        The file, without metadata.

    Raises:
        UserError: Where an operation of the file is none of LiteRT's own, a
            tensor of `integer` is of floats, or one of 8 bits is always 0.
    """
    quantized = kind in QUANTIZED
    module = Module(graph, form, quantized)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.function.get_concrete_function()], module
    )
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantized:
        converter.representative_dataset = lambda: _calibration(graph, pictures)
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    file = TfliteFile(_converted(converter))
    if quantized and (table := psi_table(graph)):
        file.look_up(table)
    file.check_operators()
    file.check_ranges()
    if kind == "integer" and file.float_tensors:
        raise UserError(
            "No tensor of an integer file is of floats. The converter left: "
            f"{', '.join(file.float_tensors)}."
        )
    return file


def _converted(converter: tf.lite.TFLiteConverter) -> bytes:
    try:
        # It writes pages of C++ notes to standard error.
        with stderr_held_back():
            return converter.convert()
    except ConverterError as error:
        outside = set(re.findall(r"'tf\.(\w+)' op is neither", str(error)))
        if not outside:
            raise
        raise UserError(
            "An exported file has builtin operations of LiteRT only. These "
            f"are none: {', '.join(sorted(outside))}."
        ) from error


def psi_table(graph: Graph) -> PsiTable | None:
    """The table that a graph's wavelets become in the formats of 8 bits."""
    tables = {
        PsiTable(node.wavelet, node.center_frequency)
        for node in graph.nodes
        if node.kind == "wavelet"
    }
    if len(tables) > 1:
        raise UserError(
            "The formats int8 and integer take models with one wavelet. "
            f"Received {len(tables)} different ones."
        )
    return tables.pop() if tables else None


def _calibration(
    graph: Graph, pictures: np.ndarray
) -> Iterator[list[np.ndarray]]:
    for index, picture in enumerate(pictures):
        picture = picture[None].astype(np.float32)
        if index == 0:
            # The input's range is that of a picture, not of these pictures.
            picture[0, 0, 0], picture[0, 0, 1] = 0.0, 255.0
        yield [(picture - round(graph.zero)) * np.float32(graph.scale)]
