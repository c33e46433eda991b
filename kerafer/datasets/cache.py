"""The folder for what can be computed again."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from pathlib import Path

from kerafer.console import console
from kerafer.errors import ConfigError, UserError


def cache_place(kind: str) -> Path | None:
    """Return the path of a folder of the cache, which need not exist.

    It is `~/.cache/kerafer/<kind>`, or `$XDG_CACHE_HOME/kerafer/<kind>`.

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
    """Make and return a folder of the cache.

    All of it may be deleted at any time. If it cannot be written, a temporary
    folder is used until the process ends, with a warning.

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
    reason = (
        f"Cannot write the cache {instead_of}"
        if instead_of
        else "There is no home folder for the cache"
    )
    try:
        folder = Path(tempfile.mkdtemp(prefix="kerafer-cache-"))
    except OSError:
        raise UserError(
            f"{reason}, and there is no temporary folder.\n"
            "Set XDG_CACHE_HOME=DIR or TMPDIR=DIR to another folder."
        ) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    console.warn(
        f"{reason}: nothing is kept for the next run. Set XDG_CACHE_HOME=DIR "
        "to another folder."
    )
    return folder


def require_space(folder: Path, size: int) -> None:
    """Refuse to write more than the disk has room for.

    Args:
        folder: Where it goes.
        size: Bytes.

    Raises:
        ConfigError: If there is not enough room.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"The decoded images need {size / 2**30:.1f} GiB; "
            f"{free / 2**30:.1f} GiB are free in {folder}.\n"
            "Set XDG_CACHE_HOME=DIR to another folder, or reduce `image_size`."
        )
