"""What is said of files that a folder has and no command takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kerafer.console import console
from kerafer.images import describe_kinds


def tell_left_out(files: Sequence[Path]) -> None:
    """Say how many files of which kinds were left out; nothing of none.

    Example:

        3 files left out: 2 .pdf, 1 .txt
    """
    if files:
        noun = "file" if len(files) == 1 else "files"
        console.print(
            f"{len(files):,} {noun} left out: {describe_kinds(files)}",
            soft_wrap=True,
        )
