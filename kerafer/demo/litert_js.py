"""What browsers need, out of npm's registry.

LiteRT.js runs .tflite files there, and BlazeFace is one that finds faces.
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

# What the page asks for, and where npm puts it. Of the four builds of the
# runtime these two need no isolation headers; the second is for browsers
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
# npm checks what it gets against the hashes in the second.
_LISTS = ("package.json", "package-lock.json")


def find_litert_js() -> dict[str, Path]:
    """LiteRT.js and the face detector, by the paths that the page uses.

    Returns:
        An empty dictionary where it is not installed.
    """
    folder = _folder()
    if folder is None:
        return {}
    modules = folder / "node_modules"
    files = {name: modules / path for name, path in _FILES.items()}
    # Another user's home folder may not even be looked into.
    return files if all(map(os.path.isfile, files.values())) else {}


def install_litert_js() -> Path:
    """Install LiteRT.js and the face detector into the user's cache with npm.

    The version and the hashes of the packages are those of the lock file that
    kerafer brings; no script of theirs is run. An installation that breaks
    off leaves none. It takes about 55 MB.

    Returns:
        The folder.

    Raises:
        UserError: If npm is missing or fails, or where nothing can be kept.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "LiteRT.js is installed by npm, which comes with Node.js. There "
            "is no npm here.\nInstall Node.js, then run this again. Without, "
            "kerafer demo works too: Python runs the model."
        )
    folder = _folder()
    if folder is None:
        raise UserError(
            "LiteRT.js is kept in the home folder's cache. There is no home "
            "folder.\nXDG_CACHE_HOME=DIR names another place."
        )
    output_folder(folder, name="The cache of XDG_CACHE_HOME")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        beside = Path(scratch, "whole")
        beside.mkdir()
        for name in _LISTS:
            (beside / name).write_text(_list(name), encoding="utf-8")
        _run(npm, beside)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    return folder


def _folder() -> Path | None:
    """Where the versions that are wanted belong; `None` without a home."""
    wanted = json.loads(_list("package.json"))["dependencies"]
    place = cache_place("litert.js")
    return place and place / "-".join(wanted.values())


def _list(name: str) -> str:
    file = resources.files("kerafer.demo") / "npm" / name
    return file.read_text(encoding="utf-8")


def _run(npm: str, folder: Path) -> None:
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if "error" in line]
        lines = "".join(f"\n    {line}" for line in told[:3])
        raise UserError(
            "LiteRT.js comes from npm's registry, which must answer. npm "
            f"failed with code {done.returncode}.{lines}"
        )
