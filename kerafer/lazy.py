"""Names of a package that arrive when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package has as `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: Its name.
        homes: The module of every name, with `:` and the name that it has
            there where that is another.
    """
    names = sorted(homes)

    def find(name: str) -> Any:
        if name in homes:
            home, _, there = homes[name].partition(":")
            return getattr(importlib.import_module(home), there or name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: list(names), names
