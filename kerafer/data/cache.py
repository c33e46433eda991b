"""The folder for what can be computed again."""

from __future__ import annotations

import os
from pathlib import Path

MAX_CACHE_BYTES = 20 * 2**30


def cache_folder(kind: str) -> Path:
    """Make and return `~/.cache/kerafer/<kind>`.

    `XDG_CACHE_HOME` stands in for `~/.cache` where it is set. All of it may be
    deleted at any time.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "kerafer" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_room(folder: Path, size: int) -> None:
    """Delete the files not used for longest until `size` bytes more fit.

    The files of a folder of the cache take at most 20 GiB together.
    """
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
    total = size + sum(file.stat().st_size for file in files)
    for file in files:
        if total <= MAX_CACHE_BYTES:
            return
        total -= file.stat().st_size
        file.unlink(missing_ok=True)
