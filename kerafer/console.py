"""What the commands show on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

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

Item = TypeVar("Item")

console = Console(stderr=True, highlight=False)


def track(
    items: Iterable[Item], description: str, total: int
) -> Iterator[Item]:
    """Yield `items` while a bar shows how many came and the time left.

    Where standard error is no terminal nothing moves; one line at the end says
    how many there were.
    """
    if not console.is_terminal:
        count = 0
        for item in items:
            yield item
            count += 1
        console.print(f"{description}: {count} of {total}")
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
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
