"""Times that can be compared on a machine that others use too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np


def interleaved_median(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    warm_up: int = 3,
) -> dict[str, float]:
    """Time functions in turns, so that a slow minute falls on all of them.

    Args:
        functions: By name; each returns what is to be waited for: arrays,
            tensors, or lists and mappings of them.
        repeats: Of each.
        warm_up: Runs of each that do not count. Defaults to 3.

    Returns:
        Median seconds of each.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            _wait(function())
            if turn >= warm_up:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _wait(result: object) -> None:
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        for part in result:
            _wait(part)
    elif result is not None:
        np.asarray(result)
