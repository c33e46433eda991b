"""Settings with a name, as YAML files beside this one."""

from __future__ import annotations

from pathlib import Path

RECIPES = ("paper", "strong")


def find_recipe(name: str) -> str:
    """The file of a recipe of this package, or the file of that name.

    Args:
        name: One of `RECIPES`, or a file.
    """
    if name in RECIPES:
        return str(Path(__file__).parent / f"{name}.yaml")
    return name
