"""What a .tflite file says of itself."""

from __future__ import annotations

import os
import zipfile

_MOST_BYTES = 1_000_000


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
                    return split_labels(content.decode("utf-8"))
    # No archive, a damaged one, other text than UTF-8, or a password; of
    # damaged ones zipfile and what decompresses raise nearly every error.
    except Exception:
        return None
    return None


def split_labels(text: str) -> tuple[str, ...]:
    """The lines of a label file that are not empty."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line)
