"""Use several processor cores."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

# Bytes, below which decoding a file is mostly Python.
_SMALL_FILE = 16_384
_MAX_THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    # A scheduler, a container or `taskset` may allow fewer than there are.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(files: Sequence[str]) -> int:
    """Return how many threads decode files fastest: one if they are small."""
    sample = files[:: max(1, len(files) // 100)]
    sizes = [os.path.getsize(file) for file in sample if os.path.isfile(file)]
    if sum(sizes) < _SMALL_FILE * len(sizes):
        return 1
    return min(_MAX_THREADS, available_cores())


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield results in the order of the items, with few of them in memory."""
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        pending: collections.deque[Future[Result]] = collections.deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 4 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
