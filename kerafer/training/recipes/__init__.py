"""Settings with a name, as YAML files beside this one."""

from __future__ import annotations

import os
from pathlib import Path

from kerafer.errors import ConfigError, did_you_mean

RECIPES = ("paper", "strong", "ferplus")


def find_recipe(name: str) -> str:
    """The file of a recipe of this package, or the file of that name.

    Args:
        name: One of `RECIPES`, or a file.

    Raises:
        UserError: Where it is neither.
    """
    if name in RECIPES:
        return str(Path(__file__).parent / f"{name}.yaml")
    if not os.path.isfile(name):
        hint = did_you_mean(name, RECIPES)
        raise ConfigError(
            "`config` is a YAML file of settings, or a recipe of this package: "
            f"{', '.join(RECIPES)}.\nThere is no file {name}.{hint}"
        )
    return name
