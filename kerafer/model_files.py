"""Resolve a path or a name to a model's file."""

from __future__ import annotations

import os
from pathlib import Path

from kerafer.errors import ConfigError, UserError

INCLUDED = Path(__file__).parent / "shipped"
DEFAULT_MODEL = "kerafer_edge_ferplus"

_OTHER_FORMATS = {
    ".h5": "Convert the legacy HDF5 file to the .keras format:\n"
    '    import keras\n    keras.saving.load_model("{name}")'
    '.save("{stem}.keras")',
    ".pt": "Export the PyTorch model to ONNX:\n"
    '    torch.onnx.export(model, images, "{stem}.onnx")',
}
_OTHER_FORMATS |= {
    ".hdf5": _OTHER_FORMATS[".h5"],
    ".pth": _OTHER_FORMATS[".pt"],
}
_WEIGHTS_ONLY = (
    "The file holds weights without a model. Build the model, then:\n"
    '    model.load_weights("{name}")\n    model.save("{stem}.keras")'
)


def included_models() -> tuple[str, ...]:
    """List the names of the included models."""
    manifests = INCLUDED.glob("*/manifest.json")
    return tuple(sorted(file.parent.name for file in manifests))


def included_model(name: str = DEFAULT_MODEL) -> Path:
    """Return the folder of an included model, an export."""
    return INCLUDED / name


def model_path(model: str | os.PathLike[str]) -> Path:
    """Resolve the name of an included model to its folder.

    Args:
        model: A path, or a name in `included_models()`, alone or below
            `exported/`. An existing path takes precedence over a name.
    """
    path = Path(model)
    if (
        path.name in included_models()
        and path.parent.name in ("", "exported")
        and not os.path.lexists(path)
    ):
        return included_model(path.name)
    return path


def find_keras_file(path: str | os.PathLike[str]) -> Path:
    """Find the `.keras` file of a path.

    Args:
        path: A `.keras` file; a folder with `best.keras` (a run),
            `model.keras` (an export) or exactly one `.keras` file; or the
            name of an included model.

    Raises:
        UserError: If there is none.
    """
    path = model_path(path)
    if path.is_file():
        if path.suffix.lower() == ".keras":
            return path
        raise UserError(
            f"{path} is not a .keras file.{other_format_hint(path)}"
        )
    if not path.exists():
        raise UserError(f"File not found: {path}\n{_RULE}")
    if (found := keras_file_in(path)) is not None:
        return found
    if (path / "manifest.json").is_file():
        raise ConfigError(
            f"{path} is an export without model.keras.\nUse the run that it "
            "was made from, or export again with keras in `formats`."
        )
    if (path / "saved_model.pb").is_file():
        raise UserError(
            f"{path} is a SavedModel, which cannot be changed.\n{_RULE}"
        )
    raise UserError(f"No Keras model found in {path}.\n{_RULE}")


def keras_file_in(folder: Path) -> Path | None:
    """Return the Keras model of a folder, or `None`."""
    for name in ("best.keras", "model.keras"):
        if (folder / name).is_file():
            return folder / name
    found = list(folder.glob("*.keras"))
    return found[0] if len(found) == 1 and found[0].is_file() else None


def other_format_hint(file: Path) -> str:
    """Explain how to convert a file of another framework or format."""
    hint = _OTHER_FORMATS.get(file.suffix.lower(), "")
    if file.name.lower().endswith(".weights.h5"):
        hint = _WEIGHTS_ONLY
    return hint and "\n" + hint.format(name=file.name, stem=file.stem)


_RULE = (
    "A Keras model is a .keras file, or a folder with best.keras, model.keras "
    "or exactly one .keras file."
)
