"""How many processor cores there are for this process."""

from __future__ import annotations

import os


def available_cores() -> int:
    """The cores that this process may use, at least 1.

    A scheduler, a container or `taskset` may give it fewer than the machine
    has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
