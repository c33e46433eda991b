"""One process at a time in a folder that is written."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kerafer.errors import UserError

_MOST_WORDS = 120


@contextlib.contextmanager
def locked(file: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Hold a folder for as long as the context lasts.

    The lock is advisory and goes with the process, however that ends. Its file
    names who holds it. Where the file system has no locks there are none.

    Args:
        file: The lock's, in a folder that is there.
        what: What is held, for the message, such as `"The run runs/one"`.

    Raises:
        UserError: Where another process holds it; names the process.
    """
    # Not for those who only ask for help.
    import filelock

    lock = filelock.FileLock(file, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        holder = _holder(Path(file))
        raise UserError(
            f"{what} is being written by {holder}.\nWait until that is over, "
            "or name another folder."
        ) from None
    except (OSError, NotImplementedError):
        # A folder that is only read needs none.
        yield
        return
    try:
        _sign(Path(file))
        yield
    finally:
        # While it is held: whoever waits for it sees that it has gone.
        with contextlib.suppress(OSError):
            os.unlink(file)
        lock.release()


def _sign(file: Path) -> None:
    words = " ".join(sys.argv)[:_MOST_WORDS]
    with contextlib.suppress(OSError):
        file.write_text(
            f"process {os.getpid()} ({words})",
            encoding="utf-8",
            errors="backslashreplace",
        )


def _holder(file: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        told = file.read_text(encoding="utf-8")[: 2 * _MOST_WORDS]
        if told.isprintable() and told:
            return told
    return "another process"
