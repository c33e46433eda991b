"""Install LiteRT.js and a face detector for browsers with npm.

LiteRT.js runs .tflite files in browsers; BlazeFace is one that finds faces.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

from kerafer.datasets.cache import cache_place
from kerafer.errors import UserError
from kerafer.files import output_folder

# The paths that the page uses, and where npm puts the files. Of the runtime's
# four builds, these two need no isolation headers; the second is for browsers
# without relaxed SIMD.
_FILES = {
    "litert/index.js": "@litertjs/core/dist/index.js",
    "litert/wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
    "face_detector.tflite": (
        "@mediapipe/face_detection/face_detection_short_range.tflite"
    ),
} | {
    f"litert/{name}": f"@litertjs/core/wasm/{name}"
    for build in ("litert_wasm_internal", "litert_wasm_compat_internal")
    for name in (f"{build}.js", f"{build}.wasm")
}


def find_litert_js() -> dict[str, Path]:
    """Return the installed files by the paths that the page uses.

    The dictionary is empty if they are not installed.
    """
    folder = _folder()
    if folder is None:
        return {}
    modules = folder / "node_modules"
    files = {name: modules / path for name, path in _FILES.items()}
    return files if all(map(os.path.isfile, files.values())) else {}


def install_litert_js() -> Path:
    """Install LiteRT.js and BlazeFace (55 MB) into the user's cache with npm.

    The lock file in kerafer pins versions and hashes, and no script of the
    packages is run. A failed installation leaves nothing behind.

    Returns:
        The folder.

    Raises:
        UserError: If npm is missing or fails, or there is no cache folder.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "Cannot find npm, which installs LiteRT.js. Install Node.js and "
            "run this again, or go on without: Python then runs the model."
        )
    folder = _folder()
    if folder is None:
        raise UserError(
            "LiteRT.js needs a cache folder, and there is no home folder. Set "
            "XDG_CACHE_HOME=DIR."
        )
    output_folder(folder, name="The cache of XDG_CACHE_HOME")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        part = Path(scratch, "whole")
        part.mkdir()
        for name in ("package.json", "package-lock.json"):
            (part / name).write_text(_read(name), encoding="utf-8")
        _run_npm(npm, part)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    return folder


def _folder() -> Path | None:
    """Return the folder of the pinned versions; `None` without a home."""
    wanted = json.loads(_read("package.json"))["dependencies"]
    place = cache_place("litert.js")
    return place and place / "-".join(wanted.values())


def _read(name: str) -> str:
    file = resources.files("kerafer.demo") / "npm" / name
    return file.read_text(encoding="utf-8")


def _run_npm(npm: str, folder: Path) -> None:
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        lines = "".join(f"\n    {line}" for line in errors[:3])
        raise UserError(
            f"npm failed with code {done.returncode}. It needs access to npm's "
            f"registry.{lines}"
        )
