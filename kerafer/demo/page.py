"""Collect the files of the page, and write them as a folder."""

from __future__ import annotations

import json
import os
import shutil
from importlib import metadata, resources
from pathlib import Path
from typing import Literal

from kerafer.demo.examples import draw_examples
from kerafer.demo.litert_js import find_litert_js
from kerafer.demo.page_model import PageModel
from kerafer.errors import UserError
from kerafer.files import atomic_write, keep_results, output_folder
from kerafer.images import MAX_PIXELS

# Size limit of an image file that the page takes.
MOST_BYTES = 32_000_000
PAGE = "index.html"

_NOTICE = """\
This page contains, all under the Apache License 2.0 (text below or at
https://www.apache.org/licenses/LICENSE-2.0):

* the page itself, from kerafer;
* litert/: LiteRT.js, by Google, from npm's @litertjs/core and
  @litertjs/wasm-utils;
* face_detector.tflite: BlazeFace, by Google, from npm's
  @mediapipe/face_detection.

The model, model.tflite, has its own terms; see MODEL_CARD.md if there is one.
kerafer drew the faces in examples/.

"""


def page_files(
    model: PageModel, faces: Literal["python", "browser"]
) -> dict[str, bytes | Path]:
    """Return the content (bytes or a file) of each path of the page.

    Args:
        model: The model that the page runs.
        faces: What finds the faces: Python behind the page, or the browser,
            which needs the files of `install_litert_js`.
    """
    folder = resources.files("kerafer.demo") / "page"
    litert = find_litert_js()
    examples = {
        f"examples/{index}.png": (caption, png)
        for index, (caption, png) in enumerate(draw_examples().items())
    }
    facts = model.facts() | {
        "faces": faces,
        "litert": bool(litert),
        "most_bytes": MOST_BYTES,
        "most_pixels": MAX_PIXELS,
        "examples": [
            {"path": path, "caption": caption}
            for path, (caption, _) in examples.items()
        ],
    }
    return {
        **{file.name: file.read_bytes() for file in folder.iterdir()},
        **litert,
        **{path: png for path, (_, png) in examples.items()},
        "model.tflite": model.file,
        "facts.json": json.dumps(facts).encode(),
    }


def write_page(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    force: bool = False,
) -> Path:
    """Write the page as a folder for any web server, without Python.

    The browser runs the model and finds the faces; images stay in it.

    Args:
        model: A .tflite file, or the folder of an export.
        folder: Where the files go.
        force: Replace existing files of the same names. Default: `False`.

    Returns:
        The folder.

    Raises:
        UserError: If the model does not exist, LiteRT.js is not installed, or
            the folder cannot be written or has one of the files already.
    """
    opened = PageModel(model)
    if not find_litert_js():
        raise UserError(
            "The page needs LiteRT.js, which is not installed:\n"
            "    kerafer demo --install"
        )
    files = page_files(opened, "browser")
    files["NOTICE.txt"] = (_NOTICE + _licence()).encode()
    card = opened.file.parent / "MODEL_CARD.md"
    if card.is_file():
        files[card.name] = card
    # Written last: a folder with the page in it is complete.
    files[PAGE] = files.pop(PAGE)
    target = output_folder(folder, name="`write`")
    keep_results([target / name for name in files], force, "`write`")
    for name, content in files.items():
        with atomic_write(target / name) as part:
            if isinstance(content, bytes):
                part.write_bytes(content)
            else:
                shutil.copyfile(content, part)
    return target


def _licence() -> str:
    try:
        distribution = metadata.distribution("kerafer")
    except metadata.PackageNotFoundError:
        return ""
    return distribution.read_text("licenses/LICENSE") or ""
