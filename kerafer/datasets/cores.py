"""How many processor cores there are for this process, and their use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# Bytes, below which decoding a file is mostly Python.
_SMALL_FILE = 16_384
_MOST_THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """The cores that this process may use, at least 1.

    A scheduler, a container or `taskset` may give it fewer than the machine
    has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(files: Sequence[str]) -> int:
    """How many threads decode images fastest.

    Args:
        files: Those that are read; what is no file does not count.

    Returns:
        One for small files, where threads only wait for each other, else one
        for each core, at most 8.
    """
    sample = files[:: max(1, len(files) // 100)]
    sizes = [os.path.getsize(file) for file in sample if os.path.isfile(file)]
    if sum(sizes) < _SMALL_FILE * len(sizes):
        return 1
    return min(_MOST_THREADS, available_cores())


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Results of a function in the order of its items, as `map` gives them.

    Args:
        function: Called by several threads at once.
        items: What it is called with.
        threads: How many; with one the caller's own does it.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, items)
