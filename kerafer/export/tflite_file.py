"""What a .tflite file is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerafer.errors import UserError

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

    def check_operators(self) -> None:
        """Refuse operations that not every LiteRT can run.

        Raises:
            UserError: Names them.
        """
        outside = [name for name in self.operators if name.startswith("CUSTOM")]
        if outside:
            raise UserError(
                "An exported file has builtin operations of LiteRT only. The "
                f"converter put in: {', '.join(outside)}."
            )

    def check_ranges(self) -> None:
        """Refuse results of 8 bits that are 0 for all calibration images.

        LiteRT can't load a file with them.

        Raises:
            UserError: Names them.
        """
        empty = []
        for operator in self._graph.operators:
            for index in operator.outputs:
                tensor = self._graph.tensors[index]
                scales = getattr(tensor.quantization, "scale", None)
                if scales is not None and max(scales) < _LEAST_SCALE:
                    empty.append(tensor.name.decode().split("/")[0])
        if empty:
            raise UserError(
                "The format int8 needs a range for the result of every "
                "operation. On all calibration images these are 0: "
                f"{', '.join(dict.fromkeys(empty))}.\n"
                "Such a layer does nothing, as a ReLU that is always 0 does. "
                "Train again, or export float16 or dynamic."
            )

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return f"CUSTOM {code.customCode.decode()}"
        # Files from before 2020 have the small field alone.
        return _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]

    # === Changes ===

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
