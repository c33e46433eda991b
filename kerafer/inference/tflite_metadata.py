"""Read the input range from a `.tflite` file's metadata.

Slots are the numbers of fields in TensorFlow Lite's `metadata_schema.fbs`.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from kerafer.inference.input_range import InputRange

METADATA_NAME = "TFLITE_METADATA"
SUBGRAPHS, INPUTS, PROCESS_UNITS = 3, 2, 4
OPTIONS_TYPE, OPTIONS = 0, 1
MEAN, STD = 0, 1
NORMALIZATION = 1
_MAX_ITEMS = 16


def read_input_range(content: bytes) -> str | None:
    """Read mean and std from a file's `NormalizationOptions`.

    Args:
        content: The file.

    Returns:
        A range as `InputRange.parse` takes it, or `None` if the file has no
        metadata that can be read.
    """
    # Whatever the file holds, only such errors come from reading it.
    with contextlib.suppress(
        struct.error, ValueError, IndexError, TypeError, OverflowError
    ):
        block = _metadata(content)
        if block is None:
            return None
        for graph in _tables(_root(block), SUBGRAPHS):
            for tensor in _tables(graph, INPUTS)[:1]:
                for unit in _tables(tensor, PROCESS_UNITS):
                    if _byte(unit, OPTIONS_TYPE) == NORMALIZATION:
                        options = _table(unit, OPTIONS)
                        mean, std = (
                            _floats(options, MEAN),
                            _floats(options, STD),
                        )
                        return str(InputRange.of(mean, std))
    return None


def _metadata(content: bytes) -> bytes | None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for index in range(min(model.MetadataLength(), _MAX_ITEMS)):
        entry = model.Metadata(index)
        if entry.Name() == METADATA_NAME.encode():
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    return None


def _root(block: bytes) -> Any:
    import flatbuffers

    (start,) = struct.unpack_from("<I", block)
    return flatbuffers.table.Table(bytearray(block), start)


def _table(table: Any, slot: int) -> Any:
    place = table.Pos + table.Offset(4 + 2 * slot)
    return type(table)(table.Bytes, table.Indirect(place))


def _tables(table: Any, slot: int) -> list[Any]:
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return []
    start = table.Vector(offset)
    count = min(table.VectorLen(offset), _MAX_ITEMS)
    places = (start + 4 * index for index in range(count))
    return [type(table)(table.Bytes, table.Indirect(at)) for at in places]


def _byte(table: Any, slot: int) -> int:
    offset = table.Offset(4 + 2 * slot)
    return table.Bytes[table.Pos + offset] if offset else 0


def _floats(table: Any, slot: int) -> tuple[float, ...]:
    offset = table.Offset(4 + 2 * slot)
    if not offset or table.VectorLen(offset) > _MAX_ITEMS:
        return ()
    start, count = table.Vector(offset), table.VectorLen(offset)
    return struct.unpack_from(f"<{count}f", table.Bytes, start)
