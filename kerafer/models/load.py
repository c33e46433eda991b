"""Saved models back from disk."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import keras

# Imported for the names they register with Keras.
from kerafer import layers as layers
from kerafer.errors import UserError
from kerafer.models.float32 import in_float32
from kerafer.runtime.shipped import model_path


def load_model(
    path: str | os.PathLike[str], compile: bool = False
) -> keras.Model:
    """Load a `.keras` file, or the model of a run's or an export's folder.

    Nothing in the file is executed: Keras' safe mode refuses pickled code and
    Lambda layers. A model of half precision is made to compute in float32.

    Args:
        path: A `.keras` file, a folder with `best.keras` or one `.keras`
            file in it, or the name of a model that the package brings along.
        compile: Whether the optimizer and loss are restored too, and the
            number format is left as it is. Defaults to `False`.

    Raises:
        UserError: Where there is no such file, or it is no model that is safe
            to load.
    """
    file = model_path(path)
    if file.is_dir():
        file = _inside(file)
    if not file.is_file():
        raise UserError(
            "A model is a .keras file, or a folder with best.keras or one "
            f".keras file in it. There is no file {file}."
        )
    if not zipfile.is_zipfile(file):
        raise UserError(
            "A model is a .keras file, whole. This one is damaged or of "
            f"another kind: {file}."
        )
    try:
        model = keras.saving.load_model(file, compile=compile, safe_mode=True)
        return model if compile else in_float32(model)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"The model {file} can't be loaded: {reason[0]}"
        ) from error


def _inside(folder: Path) -> Path:
    best, found = folder / "best.keras", list(folder.glob("*.keras"))
    return found[0] if len(found) == 1 else best
