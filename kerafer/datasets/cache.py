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
from kerafer.errors import ConfigError


def cache_place(kind: str) -> Path | None:
    """Return the path of a folder of the cache, which need not exist.

    It is `$XDG_CACHE_HOME/kerafer/<kind>`, else `~/.cache/kerafer/<kind>`, or
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
    """Make and return a folder of the cache, which may be deleted at any time.

    If the cache cannot be written, it is a temporary folder of this process,
    with a warning.
    """
    place = cache_place(kind)
    if place is not None:
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            if os.access(place, os.W_OK):
                return place
    folder = _temporary_cache() / kind
    folder.mkdir(exist_ok=True)
    return folder


@functools.cache
def _temporary_cache() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="kerafer-cache-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    console.warn(
        "Cannot write the cache; nothing is kept for the next run. Set "
        "XDG_CACHE_HOME=DIR to another folder."
    )
    return folder


def require_space(folder: Path, size: int) -> None:
    """Raise a `ConfigError` if a folder's disk has no room for `size` bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"The decoded images need {size / 2**30:.1f} GiB; "
            f"{free / 2**30:.1f} GiB are free in {folder}.\n"
            "Set XDG_CACHE_HOME=DIR to another folder, or reduce `image_size`."
        )
