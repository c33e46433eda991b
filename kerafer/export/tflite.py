"""LiteRT files of a frozen graph, changed and checked."""

from __future__ import annotations

import numpy as np

from kerafer.errors import UserError
from kerafer.export.converter import QUANTIZED, Converter
from kerafer.export.inference import INPUT, Inference
from kerafer.export.tflite_file import TfliteFile


def tflite(
    converter: Converter,
    made: Inference,
    kind: str,
    images: np.ndarray | None = None,
    floats: bool = False,
) -> TfliteFile:
    """Convert a graph, and make sure of what the converter does not.

    Args:
        converter: Does it.
        made: Of one image; with tables for `int8` and `integer`.
        kind: As for `Converter.convert`.
        images: Likewise.
        floats: Likewise.

    Returns:
        The file, without metadata.

    Raises:
        UserError: Where the converter does not take the graph, an operation is
            none of LiteRT's own, a tensor of `integer` is of floats, or one of
            8 bits is always 0.
    """
    file = TfliteFile(converter.convert(made, kind, images, floats))
    if kind in QUANTIZED:
        file.look_up(made.tables)
        file.check_ranges()
    file.check_operators()
    file.name_ends(INPUT, made.outputs)
    # The converter keeps in floats, without a word, what has no 8-bit form.
    if kind == "integer" and file.float_tensors:
        raise UserError(
            "No tensor of an integer file is of floats. The converter left: "
            f"{', '.join(file.float_tensors[:5])}.\n"
            "int8 may hold such ones."
        )
    return file
