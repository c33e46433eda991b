"""Load saved models."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from pathlib import Path

import keras

# Imported for the names they register with Keras.
from kerafer import layers as layers
from kerafer.errors import UserError, first_line
from kerafer.model_files import find_keras_file
from kerafer.models.graph import in_float32

_MOST_BYTES = 4 * 2**30
_MOST_CONFIG = 64_000_000
# A layer's weights grow with these; no layer here has a million.
_SIZES = re.compile(
    r'"(units|filters|depth_multiplier|groups|input_dim|output_dim)": *(\d+)'
)
_MOST_DIGITS = 6


def load_model(
    path: str | os.PathLike[str], compile: bool = False
) -> keras.Model:
    """Load a `.keras` file, or the model of a run's or an export's folder.

    Nothing in the file is executed: Keras' safe mode refuses pickled code and
    Lambda layers. A model of half precision is made to compute in float32.

    Args:
        path: A `.keras` file; a folder with `best.keras` (a run),
            `model.keras` (an export) or exactly one `.keras` file; or the
            name of an included model.
        compile: Whether to restore the optimizer and loss too, and to keep
            the number format. Defaults to `False`.

    Raises:
        UserError: If there is no such file or it is not safe to load.
    """
    file = find_keras_file(path)
    if not zipfile.is_zipfile(file):
        raise UserError(f"The model {file} is damaged or not a .keras file.")
    try:
        _check_config(file)
        with warnings.catch_warnings():
            # Keras would otherwise continue with fresh weights.
            warnings.filterwarnings("error", "Skipping nested container")
            model = keras.saving.load_model(
                file, compile=compile, safe_mode=True
            )
        if not model.built:
            raise ValueError(
                "it was never built, so it has no weights. Call it before "
                "saving: model(keras.ops.zeros((1, 224, 224, 3)))"
            )
        return model if compile else in_float32(model)
    except UserError:
        raise
    # Keras, zipfile and h5py raise nearly every error on damaged files.
    except Exception as error:
        raise UserError(
            f"Cannot load the model {file}: {first_line(error)}"
        ) from error


def _check_config(file: Path) -> None:
    """Refuse code, and files that would take far more memory than they have.

    Raises:
        ValueError: If a size is out of bounds.
        UserError: If there is a Lambda layer.
    """
    with zipfile.ZipFile(file) as archive:
        total = sum(item.file_size for item in archive.infolist())
        if total > _MOST_BYTES:
            raise ValueError(
                f"it has at most {_MOST_BYTES:,} bytes unpacked, not {total:,}"
            )
        with archive.open("config.json") as stream:
            content = stream.read(_MOST_CONFIG + 1)
    if len(content) > _MOST_CONFIG:
        raise ValueError(f"its config.json is over {_MOST_CONFIG:,} bytes")
    config = content.decode("utf-8")
    for key, count in _SIZES.findall(config):
        if len(count) > _MOST_DIGITS:
            raise ValueError(f"a layer of it has {key} {count[:20]}")
    if re.search(r'"class_name": *"Lambda"', config):
        raise UserError(
            f"{file} has a Lambda layer, which is Python code. kerafer does "
            "not run code from model files. Build the model again with a "
            "standard layer in its place, load the weights and save it:\n"
            "    keras.layers.Rescaling(1 / 255)  # for lambda x: x / 255\n"
            "    model.load_weights(...)\n"
            '    model.save("without_lambda.keras")'
        )
