"""Write a model in each of the export formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerafer.errors import ConfigError, UserError
from kerafer.export.converter import Converter
from kerafer.export.graph import INPUT, FrozenGraph, save_graph
from kerafer.export.onnx import OPSET, onnx_bytes, quantize_onnx
from kerafer.export.source import Source
from kerafer.export.tflite import TfliteFile, with_labels
from kerafer.inference.backends import LiteRTBackend
from kerafer.inference.input_range import METADATA_KEY, UNKNOWN
from kerafer.models.save import save_model


def write_format(
    kind: str,
    path: Path,
    source: Source,
    converter: Converter,
    trace: Callable[[int | None, str, bool], FrozenGraph],
) -> dict[str, Any]:
    """Write a model in one format.

    Args:
        kind: A key of `kerafer.export.config.FILES`.
        path: The file or folder.
        source: The model and its images.
        converter: For `.tflite` files.
        trace: Traces the model, for a batch, an input type, and with or
            without ramps in place of wavelets.

    Returns:
        Facts about the format for the manifest.

    Raises:
        UserError: If the model cannot be written in this format.
    """
    range_text = str(source.input_range or UNKNOWN)
    quantized = kind in ("int8", "onnx-int8")
    if quantized and not len(source.calibration):
        raise ConfigError(f"{kind} needs calibration images: set `images`.")
    if kind == "keras":
        save_model(source.model, path)
    elif kind == "savedmodel":
        save_graph(trace(None, source.given.kind, False), path)
        if source.given.kind == "float32":
            note = path / "assets.extra" / METADATA_KEY
            note.parent.mkdir()
            note.write_text(range_text, encoding="utf-8")
    elif kind.startswith("onnx"):
        content = onnx_bytes(trace(None, "float32", quantized), range_text)
        if quantized:
            content = quantize_onnx(content, source.calibration)
        path.write_bytes(content)
        return {"opset": OPSET}
    else:
        # Calibration feeds floats, also for models of bytes.
        dtype = "float32" if quantized else source.given.kind
        _write_tflite(kind, path, source, converter, trace(1, dtype, quantized))
    return {}


def _write_tflite(
    kind: str,
    path: Path,
    source: Source,
    converter: Converter,
    graph: FrozenGraph,
) -> None:
    floats = source.given.kind == "float32"
    file = TfliteFile(
        converter.convert(graph, kind, source.calibration, floats)
    )
    custom = [name for name in file.operators if name.startswith("CUSTOM")]
    if custom:
        raise UserError(
            f"LiteRT has no {', '.join(custom)}. Replace the layers that need "
            "it."
        )
    names = source.reference.class_names or ()
    file.name_ends(INPUT, graph.outputs)
    file.describe(
        source.facts["architecture"],
        names,
        source.reference.names,
        source.given.shape[2],
        source.input_range,
    )
    content = file.content()
    path.write_bytes(with_labels(content, names) if names else content)
    try:
        LiteRTBackend(path)
    except UserError:
        if constant := file.constant_layers():
            raise UserError(
                "These layers are 0 for all calibration images, so int8 has "
                f"no range for them: {', '.join(constant)}.\nGive other "
                "images, train again, or export float16 or dynamic."
            ) from None
        raise
