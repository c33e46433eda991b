"""The model that the package brings along."""

from __future__ import annotations

import os
from pathlib import Path

from kerafer.errors import UserError

_ALL = Path(__file__).parents[1] / "shipped"
_FOLDER = _ALL / "kerafer_edge_fer2013"


def shipped_names() -> tuple[str, ...]:
    """The names of the models that the package brings along."""
    return tuple(
        sorted(file.parent.name for file in _ALL.glob("*/manifest.json"))
    )


def model_path(given: str | os.PathLike[str]) -> Path:
    """The path of a model, which may be the name of one brought along.

    Args:
        given: A path, or one of `shipped_names()`, alone or below `exported/`,
            where one stood once. What is there under a path comes before a
            name.
    """
    path = Path(given)
    if (
        path.name in shipped_names()
        and path.parent.name in ("", "exported")
        and not os.path.lexists(path)
    ):
        return _ALL / path.name
    return path


def shipped_model() -> Path:
    """The folder of the model that predicts where none is named.

    It is an export, with its `.keras` file: `kerafer_edge`, trained on
    FER2013.

    Raises:
        UserError: Where this copy of the package came without it.
    """
    if not (_FOLDER / "manifest.json").is_file():
        raise UserError(
            "--model says which model predicts; without it, the one that the "
            "package brings along does.\nThis copy of the package has none: "
            f"there is no {_FOLDER}.\n"
            "    kerafer export --model RUN\n"
            "makes one of a training's folder."
        )
    return _FOLDER
