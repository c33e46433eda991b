"""What a .tflite file is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

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


class TfliteFile:
    """A model in LiteRT's format, opened for reading and changing.

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
        """The bytes to write."""
        import flatbuffers

        size = sum(
            0 if buffer.data is None else len(buffer.data)
            for buffer in self._model.buffers
        )
        builder = flatbuffers.Builder(size + 2**20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @property
    def operators(self) -> dict[str, int]:
        """How often each operation occurs, by LiteRT's name."""
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
        """Names of convolutions and dense layers that are always 0.

        LiteRT cannot load a file that has such a range in 8 bits.
        """
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

    def _buffer(self, data: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def name_ends(self, given: str, outputs: Sequence[str]) -> None:
        """Name the tensors at both ends, and give the file a signature.

        Clients ask for tensors by these names.

        Args:
            given: The image's.
            outputs: Of the outputs in order.
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

    def add_metadata(self, name: str, data: bytes) -> None:
        """Attach a named block of bytes that the interpreter ignores."""
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, self._buffer(data)
        self._model.metadata = [*(self._model.metadata or []), entry]
