"""Boxes of faces, kept on disk as they are found."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from kerafer.data.faces import Box

# Path, size in bytes and time of change in nanoseconds.
Stamp = tuple[str, int, int]


class FoundFaces:
    """The boxes that are known, in a file that only grows.

    A line is one picture: path, size, time of change and box, or null where no
    face was found, as JSON. A line that a kill has cut off is no JSON and does
    not count. Processes that search at the same time may write to one file.

    Args:
        file: It need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = Path(file)
        self._boxes: dict[Stamp, Box | None] = {}
        for line in self._text().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                path, size, changed, box = json.loads(line)
                self._boxes[path, size, changed] = box and tuple(box)

    def __contains__(self, stamp: Stamp) -> bool:
        return stamp in self._boxes

    def __getitem__(self, stamp: Stamp) -> Box | None:
        return self._boxes[stamp]

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Open the file for `add`."""
        text = self._text()
        torn = bool(text) and not text.endswith("\n")
        # Unbuffered: a line is one write, which no other process divides.
        with open(self._file, "ab", buffering=0) as self._stream:
            if torn:
                self._stream.write(b"\n")
            yield

    def add(self, stamp: Stamp, box: Box | None) -> None:
        """Note what was found on a picture, in memory and on disk."""
        self._stream.write(f"{json.dumps([*stamp, box])}\n".encode())
        self._boxes[stamp] = box

    def _text(self) -> str:
        if not self._file.exists():
            return ""
        return self._file.read_bytes().decode("utf-8", errors="replace")
