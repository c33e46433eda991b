"""Which image files were looked at before, and what was wrong with them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from kerafer.datasets.cache import cache_folder, make_room
from kerafer.errors import UserError
from kerafer.files import write_text

# Counts up when another file counts as good.
_VERSION = 1
# A file that was written so shortly before it was looked at may change again
# within the resolution of its time stamp.
_NANOSECONDS = 2 * 10**9

State = tuple[int, int]


class Checked:
    """What was found of the files below a folder, kept in the user's cache.

    A file of the same size and time stamp is the one that was looked at.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        libraries = [version("numpy"), version("pillow"), version("kerafer")]
        facts = [_VERSION, libraries, os.path.realpath(root)]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        self._file = cache_folder("checked") / f"{key}.json"
        self._root = os.fspath(root)
        self._known = self._read()

    def flaws(self, paths: Iterable[str]) -> dict[str, str | None]:
        """What is known: each file's flaw, or `None` for a good image.

        Args:
            paths: Of the files, below the root.

        Returns:
            None of those that are new, gone or changed.
        """
        found = {}
        for path in paths:
            size, changed, flaw = self._known.get(path, (-1, -1, None))
            if size >= 0 and self._state(path) == (size, changed):
                found[path] = flaw
        return found

    def states(self, paths: Iterable[str]) -> dict[str, State | None]:
        """Size and time stamp of files, before they are looked at."""
        return {path: self._state(path) for path in paths}

    def keep(
        self, states: dict[str, State | None], flaws: dict[str, str | None]
    ) -> None:
        """Keep what was found now; where that can't be written, nothing is.

        Args:
            states: As before the files were looked at.
            flaws: Of the same files.
        """
        before = time.time_ns() - _NANOSECONDS
        for path, state in states.items():
            if state is not None and state[1] < before:
                self._known[path] = (*state, flaws[path])
        text = json.dumps(self._known, ensure_ascii=True)
        with contextlib.suppress(OSError, UserError):
            make_room(self._file.parent, len(text))
            write_text(self._file, text)

    def _read(self) -> dict[str, tuple[int, int, str | None]]:
        try:
            known = json.loads(self._file.read_text("utf-8"))
            os.utime(self._file)
            return {
                str(path): (int(size), int(changed), flaw and str(flaw))
                for path, (size, changed, flaw) in known.items()
            }
        # Damaged or of another hand, it is as if it were not there.
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _state(self, path: str) -> State | None:
        try:
            status = os.stat(os.path.join(self._root, path))
        except (OSError, ValueError):
            return None
        return status.st_size, status.st_mtime_ns
