"""Print to the screen in commands, and to a logger in the library."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kerafer.errors import UserError, shown, with_flags

Item = TypeVar("Item")


# Columns, for tables where no screen bounds them: a file's, a pipe's.
_WIDE = 10_000
_LOGGER = logging.getLogger("kerafer")


class _Console(Console):
    """Prints text without markup, because file names may contain any.

    If quiet, as in the library, lines go to the logger `kerafer`, at level
    INFO.

    Attributes:
        flags: Options of the running command. Settings in backticks are
            printed as these.
    """

    flags: Collection[str] = ()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, or log if quiet."""
        if not self.quiet:
            if not self.is_terminal and any(
                isinstance(x, Table) for x in objects
            ):
                options = {"width": _WIDE, "crop": False} | options
            objects = tuple(
                with_flags(x, self.flags) if isinstance(x, str) else x
                for x in objects
            )
            super().print(*objects, **options)
        elif _LOGGER.isEnabledFor(logging.INFO):
            words = [shown(x) for x in objects if isinstance(x, str)]
            if words:
                _LOGGER.info("%s", " ".join(words))

    def warn(self, text: str) -> None:
        """Print a warning, or log it if quiet."""
        if self.quiet:
            _LOGGER.warning("%s", shown(text))
        else:
            self.print(text, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text without markup or control characters."""
        return super().render_str(shown(text), **options)


console = _Console(
    quiet=True, stderr=True, highlight=False, markup=False, emoji=False
)


@contextlib.contextmanager
def show_progress() -> Iterator[None]:
    """Print progress and notes to standard error, as the commands do.

    Without it, the library only logs to `kerafer`.

    Example:

        with kerafer.show_progress():
            kerafer.train(kerafer.TrainingConfig(dataset="synthetic"))
    """
    before, console.quiet = console.quiet, False
    try:
        yield
    finally:
        console.quiet, console.flags = before, ()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop what is written to file descriptor 2, and show it after an error.

    TensorFlow and OpenCV write messages there that no setting turns off. This
    affects all threads, so it is for commands and not for a library.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as dropped:
        os.dup2(dropped.fileno(), 2)
        try:
            yield
        except UserError:
            raise
        except BaseException:
            dropped.seek(0)
            os.write(stderr, dropped.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def track(
    items: Iterable[Item], description: str, total: int | None
) -> Iterator[Item]:
    """Yield `items` while a bar shows their number and the time left.

    If standard error is not a terminal, print one line at the end.
    """
    description = shown(description)
    if not console.is_terminal:
        count = 0
        for item in items:
            yield item
            count += 1
        of_all = "" if total is None else f" of {total}"
        console.print(f"{description}: {count}{of_all}")
        return
    # Slow to import, and help pages show no bar.
    from rich import progress as bars

    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)
