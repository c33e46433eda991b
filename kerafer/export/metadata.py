"""Labels and input format inside a .tflite file.

The tables of TensorFlow Lite's `metadata_schema.fbs`, as far as they are
needed, with the numbers that their fields have there.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

from kerafer.inference import InputRange

LABELS = "labels.txt"
NAME = "TFLITE_METADATA"

_AXIS_LABELS, _IMAGE, _NORMALIZATION = 2, 2, 1
_COLOUR_SPACES = {3: 1, 1: 2}


def metadata(
    name: str,
    description: str,
    class_names: tuple[str, ...],
    outputs: tuple[str, ...],
    channels: int,
    input_range: InputRange | None,
) -> bytes:
    """The block that a .tflite file carries under `NAME`.

    Args:
        name, description: Of the model.
        class_names: In the order of the first output's probabilities; none
            where they are not known.
        outputs: Names of the outputs.
        channels: 3 for RGB, 1 for gray.
        input_range: The values that the file takes; `None` if not known.
    """
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    units = []
    if input_range is not None:
        normalization = _table(
            builder,
            {
                0: _floats(builder, input_range.mean),
                1: _floats(builder, input_range.std),
            },
        )
        units = [_table(builder, {1: normalization}, {0: _NORMALIZATION})]
    image = _table(builder, {}, {0: _COLOUR_SPACES[channels]})
    entry = _table(
        builder,
        {
            0: builder.CreateString("image"),
            1: builder.CreateString(
                "The image, in the numbers that the model was trained on."
                if input_range is None
                else "The image: (pixel - mean) / std of pixels from 0 to 255."
            ),
            3: _table(builder, {1: image}, {0: _IMAGE}),
            4: _tables(builder, units),
        },
    )
    tensors = []
    for index, output in enumerate(outputs):
        fields = {0: builder.CreateString(output)}
        if class_names and index == 0:
            labels = _table(
                builder,
                {
                    0: builder.CreateString(LABELS),
                    1: builder.CreateString(", ".join(class_names)),
                },
                {2: _AXIS_LABELS},
            )
            fields[1] = builder.CreateString(
                "Of each class, in the labels' order."
            )
            fields[6] = _tables(builder, [labels])
        tensors.append(_table(builder, fields))
    subgraph = _table(
        builder,
        {2: _tables(builder, [entry]), 3: _tables(builder, tensors)},
    )
    model = _table(
        builder,
        {
            0: builder.CreateString(name),
            1: builder.CreateString(description),
            3: _tables(builder, [subgraph]),
            7: builder.CreateString("1.0.0"),
        },
    )
    builder.Finish(model, b"M001")
    return bytes(builder.Output())


def with_labels(content: bytes, class_names: tuple[str, ...]) -> bytes:
    """A .tflite file with the label file behind it, as a .zip.

    Readers of the format look for it there: whoever opens the file as a .zip
    finds `labels.txt`.
    """
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as labels:
        # A fixed date, so that the same model gives the same file.
        entry = zipfile.ZipInfo(LABELS, (1980, 1, 1, 0, 0, 0))
        labels.writestr(entry, "\n".join(class_names))
    return archive.getvalue()


def _table(
    builder: Any, offsets: dict[int, int], numbers: dict[int, int] | None = None
) -> int:
    """A table with strings, vectors and tables, and with bytes."""
    numbers = numbers or {}
    builder.StartObject(max((*offsets, *numbers), default=0) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in numbers.items():
        builder.PrependUint8Slot(slot, number, 0)
    return builder.EndObject()


def _tables(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: Any, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
