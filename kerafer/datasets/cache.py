"""The folder for what can be computed again."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kerafer.console import console
from kerafer.errors import ConfigError, UserError

MAX_CACHE_BYTES = 20 * 2**30

_ABANDONED_SECONDS = 24 * 60 * 60


def cache_place(kind: str) -> Path | None:
    """Where a folder of the cache belongs, whether or not it is there.

    That is `~/.cache/kerafer/<kind>`; `XDG_CACHE_HOME` stands in for
    `~/.cache` where it is set.

    Returns:
        `None` for a user without a home folder.
    """
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "kerafer" / kind
    try:
        return Path.home() / ".cache" / "kerafer" / kind
    # Neither HOME nor an entry in the list of users.
    except RuntimeError:
        return None


def cache_folder(kind: str) -> Path:
    """Make and return the folder of the cache for one kind of files.

    All of it may be deleted at any time. Where it can't be written, a
    temporary folder takes its place until the process ends, and says so.

    Args:
        kind: Its name.

    Raises:
        UserError: If there is no temporary folder either.
    """
    place = cache_place(kind)
    if place is not None:
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return place
    folder = _temporary(place and place.parent) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def _temporary(instead_of: Path | None) -> Path:
    """A folder that goes when the process ends, one for each that lacks."""
    where = (
        f"{instead_of} can't be written"
        if instead_of
        else "there is no home folder"
    )
    try:
        folder = Path(tempfile.mkdtemp(prefix="kerafer-cache-"))
    except OSError:
        raise UserError(
            "What is computed once is kept in a folder, and none can be "
            f"written: {where}, and there is no temporary one.\n"
            "XDG_CACHE_HOME=DIR or TMPDIR=DIR names another place."
        ) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    console.warn(
        f"Nothing is kept for the next time: {where}. XDG_CACHE_HOME=DIR "
        "names another place."
    )
    return folder


def make_room(folder: Path, size: int) -> None:
    """Delete the files not used for longest until `size` bytes more fit.

    They fit the disk, and the files of a folder of the cache take at most
    20 GiB together, or what the new one alone takes. Other processes may
    delete there at the same time; what one of them is writing (`*.part`)
    stays, unless nothing was written to it for a day.

    Args:
        folder: Of the cache.
        size: Bytes.

    Raises:
        UserError: If the disk has not as much room; nothing is deleted then.
    """
    files = sorted(_files(folder))
    kept = sum(length for _, length, _ in files)
    free = shutil.disk_usage(folder).free
    if size > free + kept:
        raise ConfigError(
            f"What is computed once is kept on disk: {size / 2**30:.1f} GiB in "
            f"{folder}, where {(free + kept) / 2**30:.1f} GiB can be had.\n"
            "XDG_CACHE_HOME=DIR names another place; a smaller `image_size` "
            "needs less."
        )
    for _, length, file in files:
        if kept + size <= MAX_CACHE_BYTES and size <= free:
            return
        kept -= length
        free += length
        file.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each file was used, its length, and where it is."""
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            old = time.time() - status.st_mtime > _ABANDONED_SECONDS
            if file.suffix != ".part" or old:
                yield status.st_mtime, status.st_size, file
