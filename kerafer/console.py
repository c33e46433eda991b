"""What the commands show on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from kerafer.errors import shown

Item = TypeVar("Item")


class _Console(Console):
    """Shows text as it is: names of files may have anything in them."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Text without markup or control characters."""
        return super().render_str(shown(text), **options)


console = _Console(stderr=True, highlight=False, markup=False, emoji=False)


def track(
    items: Iterable[Item], description: str, total: int
) -> Iterator[Item]:
    """Yield `items` while a bar shows how many came and the time left.

    Where standard error is no terminal nothing moves; one line at the end says
    how many there were.
    """
    description = shown(description)
    if not console.is_terminal:
        count = 0
        for item in items:
            yield item
            count += 1
        console.print(f"{description}: {count} of {total}")
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)
