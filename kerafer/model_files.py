"""Which file or folder a model's name stands for."""

from __future__ import annotations

import os
from pathlib import Path

from kerafer.errors import ConfigError, UserError

SHIPPED = Path(__file__).parent / "shipped"


def shipped_names() -> tuple[str, ...]:
    """The names of the models that the package brings along."""
    manifests = SHIPPED.glob("*/manifest.json")
    return tuple(sorted(file.parent.name for file in manifests))


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
        return SHIPPED / path.name
    return path


def find_keras_file(path: str | os.PathLike[str]) -> Path:
    """The `.keras` file that a path stands for.

    Args:
        path: A `.keras` file; the folder of a run, with `best.keras`, of an
            export, with `model.keras`, or with no other `.keras` file than
            one; or the name of a model that the package brings along.

    Raises:
        UserError: Where there is none.
    """
    path = model_path(path)
    if path.is_file():
        if path.suffix.lower() == ".keras":
            return path
        raise UserError(
            f"{_RULE} Received: {path}.\nIn a .tflite file and in a SavedModel "
            "there is no Keras model any more."
        )
    found = keras_file_in(path)
    if found is not None:
        return found
    if (path / "manifest.json").is_file():
        raise ConfigError(
            f"{_RULE} {path} is an export without model.keras.\nName the run "
            "that it was made of, or export that again with keras among the "
            "`formats`."
        )
    where = f"none in {path}" if path.is_dir() else f"no file {path}"
    raise UserError(f"{_RULE}\nThere is {where}.")


def keras_file_in(folder: Path) -> Path | None:
    """The Keras model of a folder; `None` without one."""
    for name in ("best.keras", "model.keras"):
        if (folder / name).is_file():
            return folder / name
    found = list(folder.glob("*.keras"))
    return found[0] if len(found) == 1 and found[0].is_file() else None


_RULE = (
    "A Keras model is a .keras file, or a folder with model.keras, best.keras "
    "or one .keras file in it."
)
