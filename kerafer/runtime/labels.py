"""The class names of a model."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from kerafer.errors import ConfigError, UserError
from kerafer.foreign import decode_text, read_json, read_text

_MOST_BYTES = 1_000_000
# Such as `0 angry` or `0: angry`.
_NUMBERED = re.compile(r"([0-9]{1,4})(?:\s*[:,;]\s*|\s+)(\S.*)")


def read_labels(file: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """The class names in the metadata of a .tflite file, in order.

    TFLite metadata keeps them in a text file with "label" in its name, one a
    line, inside a zip archive that is appended to the model.

    Returns:
        The names, or `None` where the file carries none that can be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for item in archive.infolist():
                name = item.filename.lower()
                if "label" in name and name.endswith(".txt"):
                    if item.file_size > _MOST_BYTES:
                        return None
                    with archive.open(item) as stream:
                        content = stream.read(_MOST_BYTES + 1)
                    return split_labels(decode_text(content))
    # No archive, a damaged one, other text than UTF-8, or a password; of
    # damaged ones zipfile and what decompresses raise nearly every error.
    except Exception:
        return None
    return None


def split_labels(text: str) -> tuple[str, ...]:
    """Return the class names of a label file, one a line.

    Empty lines are skipped. Where every line starts with the number of its
    output, as Teachable Machine writes them (`0 angry`), the names are
    returned without the numbers, in the order of the outputs.
    """
    names = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    by_output = {int(line[1]): line[2] for line in numbered if line}
    if names and sorted(by_output) == list(range(len(names))):
        return tuple(by_output[output] for output in range(len(names)))
    return tuple(names)


def find_labels(
    model: Path | None, classes: int, labels: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Find the class names of a model.

    They are the first of: those given; the metadata in a .tflite file; a
    `labels.txt` in the model's folder or beside it; the `metrics.json` that a
    training writes beside `best.keras`.

    Args:
        model: The model's file or folder; `None` for one in memory.
        classes: How many outputs it has.
        labels: The names in the order of the outputs. Defaults to `None`.

    Raises:
        UserError: Where there are none, two are the same, or their number is
            not that of the outputs.
    """
    found, origin = _look(model, labels)
    of = "in memory" if model is None else model
    if found is None:
        raise ConfigError(
            "The names of the classes stand in the metadata of a .tflite "
            "file, in labels.txt beside the model, one a line in the order "
            "of its outputs, or in metrics.json of a training's folder. There "
            f"are none of the model {of}.\nWrite that labels.txt; predictions "
            "and evaluations also take `labels`, divided by commas."
        )
    if len(found) != classes or len(set(found)) != classes:
        raise UserError(
            f"The model {of} has {classes} outputs, each with a name of its "
            f"own. Received {len(found)} names from {origin}: "
            f"{', '.join(found)}."
        )
    return found


def _look(
    model: Path | None, labels: Sequence[str] | None
) -> tuple[tuple[str, ...] | None, str]:
    if labels is not None:
        return tuple(labels), "the labels given"
    if model is None:
        return None, ""
    if model.is_file() and (found := read_labels(model)):
        return found, "its metadata"
    for folder in (model, model.parent):
        file = folder / "labels.txt"
        if file.is_file():
            return split_labels(_text(file)), str(file)
    for folder in (model, model.parent):
        file = folder / "metrics.json"
        if file.is_file():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                named = read_json(file)["test"]["per_class"]
                return tuple(named), str(file)
    return None, ""


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except (OSError, ValueError) as error:
        raise UserError(
            f"The class names in {file} must be UTF-8 text that can be read "
            f"({error})."
        ) from None
