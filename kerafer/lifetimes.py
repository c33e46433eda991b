"""Processes that end together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import kerafer
from kerafer.errors import UserError

# Names the process whose end this one shares.
PARENT = "KERAFER_PARENT"
_PR_SET_PDEATHSIG = 1


def with_parent() -> dict[str, str]:
    """This environment, for a child that is to end when this process does."""
    return {**os.environ, PARENT: str(os.getpid())}


def with_package() -> dict[str, str]:
    """The same, for one that is to find this package wherever the user is."""
    places = [os.path.dirname(kerafer.__path__[0])]
    places += filter(None, [os.environ.get("PYTHONPATH")])
    return with_parent() | {"PYTHONPATH": os.pathsep.join(places)}


def end_with_parent() -> None:
    """Ask to be sent SIGTERM when the process ends that started this one.

    Does nothing where nobody asked for it by `with_parent`, or where the
    system is not Linux.
    """
    wanted = os.environ.pop(PARENT, "")
    if not wanted.isdecimal() or not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have ended before that.
    if os.getppid() != int(wanted):
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let `kill` do what Ctrl-C does, as long as the context lasts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Ctrl-C stays one where a library fails in cleaning up after it.

    Keras' `fit` often does on JAX.

    Raises:
        KeyboardInterrupt: In place of such an error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        before = error.__context__
        while before is not None:
            if isinstance(before, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            before = before.__context__
        raise
