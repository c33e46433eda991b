"""Results to a file as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kerafer.runtime.results import FacePrediction
from kerafer.runtime.tracker import TrackedFace

FORMATS = ("csv", "jsonl")


class RowWriter:
    """Write a row a face, to CSV or JSON lines, and flush each.

    The columns are `source`; `frame` and `seconds`, for a video; `face`, its
    number on the image or through the video; `x`, `y`, `width`, `height`;
    `label`; `p_<class>`, the probability of each class; and `problem`, why
    there is no face, or that the image was taken whole for want of one. JSON
    lines have the same keys, less those without value,
    and the probabilities as an object.

    Args:
        file: Ends in .csv or .jsonl. An earlier file is replaced.
        labels: The class names.

    Attributes:
        rows: How many were written.
    """

    def __init__(self, file: Path, labels: Sequence[str]) -> None:
        self._labels = labels
        # Names of files may hold bytes that are no text.
        self._stream = open(  # noqa: SIM115
            file, "w", newline="", encoding="utf-8", errors="backslashreplace"
        )
        self._table = None
        self.rows = 0
        if file.suffix == ".csv":
            self._table = csv.writer(self._stream)
            classes = [f"p_{label}" for label in labels]
            self._table.writerow([*_BEFORE, *classes, "problem"])
            self._stream.flush()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def write_faces(
        self,
        source: str,
        faces: Sequence[FacePrediction | TrackedFace],
        problem: str | None = None,
        frame: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Add the rows of an image or a frame.

        Args:
            source: The file.
            faces: What was found. Without one there is a row that says so.
            problem: As the column. Defaults to none.
            frame: Its number in a video. Defaults to none.
            seconds: Since the video began. Defaults to none.
        """
        for number, face in enumerate(faces, 1):
            number = getattr(face, "track", number)
            self._write(source, frame, seconds, number, face, problem)
        if not faces:
            self._write(source, frame, seconds, None, None, problem)

    def _write(
        self,
        source: str,
        frame: int | None,
        seconds: float | None,
        number: int | None,
        face: FacePrediction | TrackedFace | None,
        problem: str | None,
    ) -> None:
        if seconds is not None:
            seconds = round(seconds, 3)
        shares = face.probabilities if face else {}
        rounded = {name: round(share, 4) for name, share in shares.items()}
        box = face.box if face else (None,) * 4
        label = face.label if face else None
        values = (source, frame, seconds, number, *box, label)
        if self._table is not None:
            classes = [rounded.get(name) for name in self._labels]
            self._table.writerow([*values, *classes, problem])
        else:
            row: dict[str, Any] = dict(zip(_BEFORE, values, strict=True))
            row |= {"probabilities": rounded or None, "problem": problem}
            told = {key: v for key, v in row.items() if v is not None}
            self._stream.write(json.dumps(told) + "\n")
        self._stream.flush()
        self.rows += 1


_BEFORE = (
    *("source", "frame", "seconds", "face"),
    *("x", "y", "width", "height", "label"),
)
