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
_interrupted = threading.Event()


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
def interrupts_kept() -> Iterator[None]:
    """Let `kill` do what Ctrl-C does, and let neither be lost.

    A library may fail in cleaning up after it, as Keras' `fit` often does on
    JAX, or take it for an error of its own and go on, as Keras does where it
    waits for a step's loss. What goes on asks `raise_if_interrupted`.

    Raises:
        KeyboardInterrupt: Also in place of an error that came of one.
    """
    _interrupted.clear()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # Ctrl-C is not for what a shell runs in the background.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = error.__context__
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            cause = cause.__context__
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that a library kept to itself, if one did."""
    if _interrupted.is_set():
        _interrupted.clear()
        raise KeyboardInterrupt


def interruption(stop: KeyboardInterrupt) -> str:
    """What a command says of it: its own words, where it has any."""
    return str(stop) or "interrupted"


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt
