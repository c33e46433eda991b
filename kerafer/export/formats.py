"""Write a model in each of the export formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerafer.errors import ConfigError, UserError
from kerafer.export.converter import QUANTIZED, Converter
from kerafer.export.graph import INPUT, FrozenGraph, freeze_graph, save_graph
from kerafer.export.metadata import NAME, metadata, with_labels
from kerafer.export.onnx import OPSET, onnx_bytes
from kerafer.export.source import Source
from kerafer.export.tflite_file import TfliteFile
from kerafer.inference.input_range import METADATA_KEY, UNKNOWN
from kerafer.models.save import save_model


class FormatWriter:
    """Writes the formats of one model, tracing each graph once.

    Args:
        source: The model and its images.
        converter: For `.tflite` files.
    """

    def __init__(self, source: Source, converter: Converter) -> None:
        self._source = source
        self._converter = converter
        self._traced: dict[tuple, FrozenGraph] = {}

    def write(self, kind: str, path: Path) -> dict[str, Any]:
        """Write one file or folder.

        Args:
            kind: A key of `kerafer.export.config.FILES`.
            path: The file.

        Returns:
            Facts about the format for the manifest.

        Raises:
            UserError: If the model cannot be written in this format.
        """
        source = self._source
        if kind == "keras":
            save_model(source.model, path)
            return {}
        if kind == "savedmodel":
            self._write_saved_model(path)
            return {}
        shown = str(source.input_range or UNKNOWN)
        if kind == "onnx":
            path.write_bytes(onnx_bytes(self._graph(None, "float32"), shown))
            return {"opset": OPSET}
        path.write_bytes(self._tflite(kind))
        return {}

    def _graph(
        self, batch: int | None, dtype: str, integer: bool = False
    ) -> FrozenGraph:
        key = (batch, dtype, integer)
        if key not in self._traced:
            source = self._source
            # One at a time: each holds all weights.
            self._traced = {key: freeze_graph(source.model, source.given, *key)}
        return self._traced[key]

    def _write_saved_model(self, path: Path) -> None:
        source = self._source
        save_graph(self._graph(None, source.given.kind), str(path))
        if source.given.kind == "float32":
            note = path / "assets.extra" / METADATA_KEY
            note.parent.mkdir()
            shown = str(source.input_range or UNKNOWN)
            note.write_text(shown, encoding="utf-8")

    def _tflite(self, kind: str) -> bytes:
        source, quantized = self._source, kind in QUANTIZED
        if quantized and not len(source.calibration):
            raise ConfigError(
                f"The format {kind} needs calibration images, and there are "
                "none. Give `images` that the model was made for."
            )
        # Calibration feeds floats, also for models of bytes.
        dtype = "float32" if quantized else source.given.kind
        graph = self._graph(1, dtype, quantized)
        file = TfliteFile(
            self._converter.convert(
                graph,
                kind,
                source.calibration,
                floats=source.given.kind == "float32",
            )
        )
        if quantized:
            _check_layers(file.constant_layers())
        _check_operators(file.operators)
        file.name_ends(INPUT, graph.outputs)
        names = source.reference.class_names or ()
        block = metadata(
            source.facts["architecture"],
            f"Facial expressions: {', '.join(names)}." if names else "",
            class_names=names,
            outputs=source.reference.names,
            channels=source.given.shape[2],
            input_range=source.input_range,
        )
        file.add_metadata(NAME, block)
        content = file.content()
        return with_labels(content, names) if names else content


def _check_operators(operators: dict[str, int]) -> None:
    custom = [name for name in operators if name.startswith("CUSTOM")]
    if custom:
        raise UserError(
            "The converter used operators that are not built into LiteRT: "
            f"{', '.join(custom)}. Replace the layers that need them."
        )


def _check_layers(constant: list[str]) -> None:
    if constant:
        raise UserError(
            "These layers are 0 for all calibration images, so int8 has no "
            f"range for them: {', '.join(constant)}.\nGive other images, "
            "train again, or export float16 or dynamic."
        )
