"""The model that the package brings along."""

from __future__ import annotations

from pathlib import Path

from kerafer.errors import ConfigError
from kerafer.model_files import SHIPPED

_FOLDER = SHIPPED / "kerafer_edge_ferplus"


def shipped_model() -> Path:
    """The folder of the model that predicts where none is named.

    It is an export, with its `.keras` file: `kerafer_edge`, trained on
    FER+'s votes.

    Raises:
        UserError: Where this copy of the package came without it.
    """
    if not (_FOLDER / "manifest.json").is_file():
        raise ConfigError(
            "`model` says which model predicts; without it, the one that the "
            "package brings along does.\nThis copy of the package has none: "
            f"there is no {_FOLDER}.\n"
            "    kerafer export --model RUN\n"
            "makes one of a training's folder."
        )
    return _FOLDER
