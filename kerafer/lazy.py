"""Lazy imports."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return a package's `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: Its name.
        homes: The module of each name. `module:other` if the name differs
            there.
    """
    names = sorted(homes)

    def find(name: str) -> Any:
        if name in homes:
            home, _, there = homes[name].partition(":")
            return getattr(importlib.import_module(home), there or name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: list(names), names
