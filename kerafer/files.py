"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_beside(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to; rename it to `file` when all went well.

    The path has the suffixes of `file`, so writers that look at them work.
    """
    file = Path(file)
    beside = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        yield beside
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def write_text(file: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    with written_beside(file) as beside:
        beside.write_text(text, encoding="utf-8")
