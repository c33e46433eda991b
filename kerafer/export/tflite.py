"""Read, name and describe .tflite files."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerafer.inference import InputRange
from kerafer.inference.tflite_metadata import METADATA_NAME

LABELS = "labels.txt"

_OPERATORS = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}
_FLOATS = (
    schema.TensorType.FLOAT16,
    schema.TensorType.FLOAT32,
    schema.TensorType.FLOAT64,
    schema.TensorType.BFLOAT16,
)
# The converter's scale for numbers that are all 0 is 2e-6 / 255.
_LEAST_SCALE = 1e-8
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
# Numbers of `metadata_schema.fbs`.
_AXIS_LABELS, _IMAGE, _NORMALIZATION = 2, 2, 1
_COLOR_SPACES = {3: 1, 1: 2}


class TfliteFile:
    """The content of a .tflite file.

    Args:
        content: The file's bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._model = schema.ModelT.InitFromObj(
            schema.Model.GetRootAs(content, 0)
        )
        # Further ones are the bodies of loops.
        self._graph, *self._bodies = self._model.subgraphs

    def content(self) -> bytes:
        """Return the file's bytes."""
        import flatbuffers

        builder = flatbuffers.Builder(2**20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @property
    def operators(self) -> dict[str, int]:
        """The number of operators by LiteRT's name."""
        graphs = (self._graph, *self._bodies)
        return dict(
            Counter(self._name(op) for g in graphs for op in g.operators)
        )

    @property
    def float_tensors(self) -> list[str]:
        """Names of the tensors that hold floating-point numbers."""
        return [
            tensor.name.decode()
            for graph in (self._graph, *self._bodies)
            for tensor in graph.tensors
            if tensor.type in _FLOATS
        ]

    def constant_layers(self) -> list[str]:
        """Names of convolutions and dense layers that are always 0."""
        constant = []
        for operator in self._graph.operators:
            if self._name(operator) not in _LAYERS:
                continue
            for index in operator.outputs:
                tensor = self._graph.tensors[index]
                scales = getattr(tensor.quantization, "scale", None)
                if scales is not None and max(scales) < _LEAST_SCALE:
                    constant.append(tensor.name.decode().split("/")[0])
        return list(dict.fromkeys(constant))

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return f"CUSTOM {code.customCode.decode()}"
        # Files from before 2020 have the small field alone.
        return _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def name_ends(self, given: str, outputs: Sequence[str]) -> None:
        """Name the input and the outputs, also in a signature.

        Args:
            given: Name of the image.
            outputs: Names of the outputs in order.
        """
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = [], []
        for names, indices, entries in (
            ([given], self._graph.inputs, signature.inputs),
            (outputs, self._graph.outputs, signature.outputs),
        ):
            for name, index in zip(names, indices, strict=True):
                self._graph.tensors[index].name = name
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name, index
                entries.append(entry)
        self._model.signatureDefs = [signature]

    def describe(
        self,
        name: str,
        class_names: Sequence[str],
        outputs: Sequence[str],
        channels: int,
        input_range: InputRange | None,
    ) -> None:
        """Add metadata that MediaPipe and other clients read.

        Args:
            name: Of the model.
            class_names: In the order of the first output; may be empty.
            outputs: Names of the outputs.
            channels: 3 for RGB, 1 for gray.
            input_range: Values that the file takes; `None` if unknown.
        """
        import flatbuffers

        builder = flatbuffers.Builder(1024)
        block = _metadata(name, class_names, outputs, channels, input_range)
        builder.Finish(_encode(builder, block), b"M001")
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(bytes(builder.Output()), np.uint8)
        entry.name, entry.buffer = METADATA_NAME, len(self._model.buffers)
        self._model.buffers.append(buffer)
        self._model.metadata = [*(self._model.metadata or []), entry]


def with_labels(content: bytes, class_names: Sequence[str]) -> bytes:
    """Append the label file to a .tflite file, as a .zip.

    Clients that open the file as a .zip find `labels.txt`.
    """
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as labels:
        # A fixed date, so that the same model gives the same file.
        entry = zipfile.ZipInfo(LABELS, (1980, 1, 1, 0, 0, 0))
        labels.writestr(entry, "\n".join(class_names))
    return archive.getvalue()


def _metadata(
    name: str,
    class_names: Sequence[str],
    outputs: Sequence[str],
    channels: int,
    input_range: InputRange | None,
) -> dict[int, Any]:
    """Build a `ModelMetadata` table, with the fields' numbers as keys."""
    image = {
        0: "image",
        1: "The image: (pixel - mean) / std of pixels from 0 to 255.",
        3: {0: _IMAGE, 1: {0: _COLOR_SPACES[channels]}},
    }
    if input_range is None:
        image[1] = "The image, in the numbers that the model was trained on."
    else:
        mean, std = (
            np.array(values, np.float32)
            for values in (input_range.mean, input_range.std)
        )
        image[4] = [{0: _NORMALIZATION, 1: {0: mean, 1: std}}]
    tensors: list[dict[int, Any]] = [{0: output} for output in outputs]
    description = ""
    if class_names:
        description = f"Facial expressions: {', '.join(class_names)}."
        labels = {0: LABELS, 1: ", ".join(class_names), 2: _AXIS_LABELS}
        tensors[0] |= {1: "Of each class, in the labels' order.", 6: [labels]}
    return {
        0: name,
        1: description,
        3: [{2: [image], 3: tensors}],
        7: "1.0.0",
    }


def _encode(builder: Any, value: Any) -> int:
    """Write a string, an array, a list of tables or a table."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        offsets = [_encode(builder, item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    # Numbers are bytes, which a table holds itself.
    fields = {
        slot: item if isinstance(item, int) else _encode(builder, item)
        for slot, item in value.items()
    }
    builder.StartObject(max(fields) + 1)
    for slot, field in fields.items():
        if isinstance(value[slot], int):
            builder.PrependUint8Slot(slot, field, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, field, 0)
    return builder.EndObject()
