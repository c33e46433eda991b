"""Optional dependencies, and the command that installs a missing one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kerafer.errors import UserError, first_line

_TRAIN = (
    *("charset_normalizer", "jinja2"),
    *("flatbuffers", "keras", "matplotlib", "mtcnn", "pandas"),
    *("loky", "scipy", "sklearn", "tensorflow"),
)
# The extra of setup.cfg that installs each package.
EXTRAS = {
    **dict.fromkeys(_TRAIN, "train"),
    "jax": "jax",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "pillow_heif": "heif",
    "ray": "ray",
    "tf2onnx": "onnx",
    "torch": "torch",
}

_OPENCV = (
    "Install the system library that it names, such as\n"
    "    apt install libgl1 libglib2.0-0\n"
    "or a build of OpenCV that needs none:\n"
    "    pip uninstall opencv-python; pip install opencv-python-headless"
)


class MissingExtraError(UserError, ImportError):
    """A package of an optional extra is not installed."""


@contextlib.contextmanager
def extra_for(what: str) -> Iterator[None]:
    """Name the missing extra if an import fails in the context.

    Args:
        what: What needs the package, the first words of the error.

    Raises:
        MissingExtraError: If a package of an extra is missing.
        UserError: If OpenCV is installed but cannot be loaded.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package == "cv2":
            raise UserError(
                f"OpenCV cannot be loaded: {first_line(error)}.\n{_OPENCV}"
            ) from error
        if package not in EXTRAS:
            raise
        raise MissingExtraError(
            f"{what} needs {package}, which is not installed "
            f"({first_line(error)}):\n{install(EXTRAS[package])}"
        ) from error


def install(extra: str) -> str:
    """Return the indented command that installs an extra.

    kerafer is not published: `pip install kerafer` could install another
    project of this name, so the command uses the source code.
    """
    source = Path(__file__).resolve().parents[1]
    known = (source / "setup.cfg").is_file()
    where = source if known else "kerafer's source folder"
    return f"    pip install '.[{extra}]'    (in {where})"
