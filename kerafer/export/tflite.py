"""LiteRT files of a frozen graph, changed and checked."""

from __future__ import annotations

import numpy as np

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
        made: Of one image; with ramps for `int8`.
        kind: As for `Converter.convert`.
        images: Likewise.
        floats: Likewise.

    Returns:
        The file, without metadata.

    Raises:
        UserError: Where the converter does not take the graph, an operation is
            none of LiteRT's own, or a tensor of 8 bits is always 0.
    """
    file = TfliteFile(converter.convert(made, kind, images, floats))
    if kind in QUANTIZED:
        file.check_ranges()
    file.check_operators()
    file.name_ends(INPUT, made.outputs)
    return file
