"""What a .tflite file is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerafer.errors import UserError
from kerafer.layers.psi_table import PsiTable

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
# Operations that compute with the scales of their operands and results.
_RESCALE = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL")
# Less than two wavelets differ by somewhere, more than 8 bits round by.
_SAME_TABLE = 0.01


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
                "The formats int8 and integer need a range for the result of "
                "every operation. On all calibration images these are 0: "
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

    def look_up(self, tables: Collection[PsiTable]) -> None:
        """Make every wavelet a look-up in whole numbers.

        The converter leaves a GATHER behind several steps in floating point
        that lead from the 8-bit number to the index. They become
        `CAST(t) + 128`.

        Args:
            tables: Those that the wavelets became.
        """
        made = {
            index: operator
            for operator in self._graph.operators
            for index in operator.outputs
        }
        for gather in list(self._graph.operators):
            table = self._table(gather, tables)
            if table is None:
                continue
            index, steps = gather.inputs[1], []
            while self._graph.tensors[index].type != schema.TensorType.INT8:
                steps.append(made[index])
                index = steps[-1].inputs[0]
            for step in steps:
                self._graph.operators.remove(step)
            self._gather(table, gather, made.get(index), index)
        self._prune()

    def _table(
        self, operator: Any, tables: Collection[PsiTable]
    ) -> PsiTable | None:
        """The table that an operation looks up in."""
        if self._name(operator) != "GATHER":
            return None
        tensor = self._graph.tensors[operator.inputs[0]]
        data = self._model.buffers[tensor.buffer].data
        if list(tensor.shape) != [256] or data is None:
            return None
        if tensor.type == schema.TensorType.INT8:
            (scale,) = tensor.quantization.scale
            (zero,) = tensor.quantization.zeroPoint
            values = (np.frombuffer(data, np.int8) - float(zero)) * scale
        else:
            values = np.frombuffer(data, np.float32)
        # The converter keeps what the calibration images came to.
        seen = values.min(), values.max()
        off = {
            table: np.abs(np.clip(table.values(), *seen) - values).max()
            for table in tables
        }
        best = min(off, key=off.__getitem__, default=None)
        return best if best and off[best] < _SAME_TABLE else None

    def _gather(
        self, table: PsiTable, gather: Any, before: Any, source: int
    ) -> None:
        """Whole numbers in, the table's levels out.

        An operation that computes with the scale of its result gets the
        table's; between others and the table the numbers are scaled anew.
        """
        tensors, kind = self._graph.tensors, schema.TensorType
        levels, scale, zero = table.quantized()
        shape = tensors[source].shape
        place = self._graph.operators.index(gather)
        steps = []
        if before is not None and self._name(before) in _RESCALE:
            level = source
        else:
            level = self._tensor("psi_level", shape, kind.INT8)
            steps.append(self._operator("QUANTIZE", [source], level))
        _set_scale(tensors[level], table.STEP, -128)
        values = self._tensor("psi", levels.shape, kind.INT8, levels)
        _set_scale(tensors[values], scale, zero)
        number = self._tensor("psi_number", shape, kind.INT32)
        index = self._tensor("psi_index", shape, kind.INT32)
        offset = self._tensor(
            "psi_offset", (), kind.INT32, np.array(128, np.int32)
        )
        cast = self._operator("CAST", [level], number)
        cast.builtinOptionsType = schema.BuiltinOptions.CastOptions
        cast.builtinOptions = schema.CastOptionsT()
        cast.builtinOptions.inDataType = kind.INT8
        cast.builtinOptions.outDataType = kind.INT32
        add = self._operator("ADD", [number, offset], index)
        add.builtinOptionsType = schema.BuiltinOptions.AddOptions
        add.builtinOptions = schema.AddOptionsT()
        steps += [cast, add]
        gather.inputs = [values, index]
        self._graph.operators[place:place] = steps
        (found,) = gather.outputs
        users = [op for op in self._graph.operators if found in list(op.inputs)]
        if users and all(self._name(op) in _RESCALE for op in users):
            _set_scale(tensors[found], scale, zero)
            return
        psi = self._tensor("psi_value", tensors[found].shape, kind.INT8)
        _set_scale(tensors[psi], scale, zero)
        gather.outputs = [psi]
        place = self._graph.operators.index(gather) + 1
        scaled = self._operator("QUANTIZE", [psi], found)
        self._graph.operators.insert(place, scaled)

    def _tensor(
        self, name: str, shape: Any, kind: int, value: np.ndarray | None = None
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        if value is not None:
            tensor.buffer = self._buffer(value.tobytes())
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _buffer(self, data: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _operator(self, name: str, inputs: list[int], output: int) -> Any:
        number = getattr(schema.BuiltinOperator, name)
        codes = self._model.operatorCodes
        found = [i for i, c in enumerate(codes) if c.builtinCode == number]
        if not found:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = number
            code.version = 1
            codes.append(code)
            found = [len(codes) - 1]
        operator = schema.OperatorT()
        operator.opcodeIndex = found[0]
        operator.inputs, operator.outputs = inputs, [output]
        return operator

    def _prune(self) -> None:
        """Drop tensors and operator codes that nothing uses any more."""
        graph, model = self._graph, self._model
        used = {*graph.inputs, *graph.outputs}
        for operator in graph.operators:
            used |= {*operator.inputs, *operator.outputs}
        kept = sorted(int(index) for index in used if index >= 0)
        place = {old: new for new, old in enumerate(kept)} | {-1: -1}
        graph.tensors = [graph.tensors[index] for index in kept]
        graph.inputs = [place[i] for i in graph.inputs]
        graph.outputs = [place[i] for i in graph.outputs]
        for operator in graph.operators:
            operator.inputs = [place[i] for i in operator.inputs]
            operator.outputs = [place[i] for i in operator.outputs]
        for signature in model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = place[entry.tensorIndex]
        codes = sorted({op.opcodeIndex for op in graph.operators})
        for operator in graph.operators:
            operator.opcodeIndex = codes.index(operator.opcodeIndex)
        model.operatorCodes = [model.operatorCodes[i] for i in codes]

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


def _set_scale(tensor: Any, scale: float, zero: int) -> None:
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = [scale]
    tensor.quantization.zeroPoint = [zero]
