"""Optional dependencies, and the command that installs a missing one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerafer.errors import UserError, first_line

_TRAIN = (
    *("charset_normalizer", "jinja2"),
    *("flatbuffers", "keras", "matplotlib", "mtcnn", "pandas"),
    *("loky", "scipy", "sklearn", "tensorflow"),
)
# Of each package the extra, both as Python and as setup.cfg have them.
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
        what: Needs the import, the beginning of a sentence.

    Raises:
        MissingExtraError: In place of the ImportError of a package that an
            extra brings. Others pass.
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
            f"{what} needs {package}, which is missing here "
            f"({first_line(error)}):\n{install(EXTRAS[package])}"
        ) from error


def install(extra: str) -> str:
    """Return the indented command that installs an extra.

    kerafer is not published, so a bare `kerafer[train]` could be anybody's
    package. It is only suggested if kerafer itself came from an index.
    """
    checkout = Path(__file__).resolve().parents[1]
    origin = _installed_from()
    url = origin.get("url", "")
    if (checkout / "setup.cfg").is_file():
        editable = origin.get("dir_info", {}).get("editable", False)
        flag = "-e " if editable else ""
        return f"    pip install {flag}'.[{extra}]'    (in {checkout})"
    if "dir_info" in origin:
        folder = url.removeprefix("file://")
        return f"    pip install '.[{extra}]'    (in {folder})"
    if "vcs_info" in origin:
        url = f"{origin['vcs_info'].get('vcs', 'git')}+{url}"
    if url:
        return f"    pip install 'kerafer[{extra}] @ {url}'"
    return f"    pip install 'kerafer[{extra}]'"


def _installed_from() -> dict[str, Any]:
    """Return what pip recorded about a direct installation (PEP 610)."""
    # Slow to import, and only needed for an error.
    import importlib.metadata
    import json

    try:
        installed = importlib.metadata.distribution("kerafer")
        return json.loads(installed.read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return {}
