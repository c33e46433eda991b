"""Silence for libraries that write to standard error by themselves."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from kerafer.errors import UserError


@contextlib.contextmanager
def stderr_held_back() -> Iterator[None]:
    """Drop what is written to file descriptor 2; show it after a failure.

    TensorFlow, OpenCV and LiteRT write remarks there that no setting turns
    off. It holds for all threads, so it is for programs; a library has no
    right to it.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except UserError:
            raise
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
