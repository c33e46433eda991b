"""What prediction does without, and which extra of this package brings it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kerafer.errors import UserError, first_line

_TRAIN = (
    *("flatbuffers", "keras", "matplotlib", "mtcnn", "pandas", "pywt"),
    *("scipy", "sklearn", "tensorboard", "tensorflow"),
)
# Of each package the extra, both as Python and as setup.cfg have them.
EXTRAS = {
    **dict.fromkeys(_TRAIN, "train"),
    "jax": "jax",
    "kagglehub": "fesr",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "pillow_heif": "heif",
    "ray": "ray",
    "tf2onnx": "onnx",
    "torch": "torch",
}


class MissingExtraError(UserError, ImportError):
    """A package is missing that an extra of this one brings."""


@contextlib.contextmanager
def extra_for(what: str) -> Iterator[None]:
    """Tell which extra is missing where an import fails in the context.

    Args:
        what: Needs the import, the beginning of a sentence.

    Raises:
        MissingExtraError: In place of the ImportError of a package that an
            extra brings. Others pass.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtraError(
            f"{what} needs {package}, which is missing here "
            f"({first_line(error)}):\n{install(EXTRAS[package])}"
        ) from error


def install(extra: str) -> str:
    """The indented command that installs an extra."""
    return f"    pip install 'kerafer[{extra}]'"
