"""Ctrl-C and `kill`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from kerafer.errors import UserError

_interrupted = threading.Event()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make `kill` do the same as Ctrl-C, and lose neither.

    Keras may fail while it handles a KeyboardInterrupt, and may take one for
    an error of its own and continue. Long loops call `raise_if_interrupted`.

    Raises:
        KeyboardInterrupt: Also in place of an error that it caused.
    """
    _interrupted.clear()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell ignores Ctrl-C for its background processes.
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
    """Raise a KeyboardInterrupt that a library has swallowed, if any."""
    if _interrupted.is_set():
        _interrupted.clear()
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt
