"""The page as a folder of files, for any web server."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

from kerafer.demo.litert_js import find_litert_js
from kerafer.demo.page_files import (
    PAGE,
    as_text,
    content_security_policy,
    page_files,
    read_page,
)
from kerafer.demo.page_model import PageModel
from kerafer.errors import UserError
from kerafer.files import keep_results, output_folder, written_beside

_NOTICE = """\
This page holds, all under the Apache License 2.0, whose text follows or is at
https://www.apache.org/licenses/LICENSE-2.0:

* the page itself, from kerafer;
* litert/: LiteRT.js, by Google, from npm's @litertjs/core and
  @litertjs/wasm-utils;
* face_detector.tflite: BlazeFace, by Google, from npm's
  @mediapipe/face_detection.

The model, model.tflite, has terms of its own; see MODEL_CARD.md where there is
one. The faces in examples/ are drawn by kerafer.

"""


def write_page(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    force: bool = False,
) -> Path:
    """Write the page where no Python is needed: browsers find the faces too.

    Any web server can offer the folder, below any path. Images stay in the
    browsers that open it.

    Args:
        model: A .tflite file, or the folder of an export.
        folder: Where the files go.
        force: Whether files of the same names that are there may be replaced.
            Defaults to `False`.

    Returns:
        The folder.

    Raises:
        UserError: If there is no such model, LiteRT.js is not installed, the
            folder can't be written, or has one of the files already.
    """
    opened = PageModel(model)
    if not find_litert_js():
        raise UserError(
            "The folder holds LiteRT.js, which is not installed.\n"
            "    kerafer demo --install\ninstalls it with npm."
        )
    files: dict[str, bytes | Path] = {
        name: content
        for name, (_, content) in page_files(opened, "browser").items()
    }
    files["NOTICE.txt"] = (_NOTICE + _licence()).encode()
    card = opened.file.parent / "MODEL_CARD.md"
    if card.is_file():
        files[card.name] = card
    del files[PAGE]
    # Comes last: where it is, all is that it loads.
    files[PAGE] = _with_policy(read_page())
    target = output_folder(folder, name="`write`")
    keep_results([target / name for name in files], force, "`write`")
    for name, content in files.items():
        with written_beside(target / name) as beside:
            if isinstance(content, bytes):
                beside.write_bytes(content)
            else:
                shutil.copyfile(content, beside)
    return target


def _with_policy(page: bytes) -> bytes:
    """The page with its policy inside, as no server will send it."""
    policy = content_security_policy(page)
    # Browsers take this one from a server alone.
    del policy["frame-ancestors"]
    tag = (
        '<meta http-equiv="Content-Security-Policy" '
        f'content="{as_text(policy)}">'
    )
    head = b'<meta charset="utf-8">'
    return page.replace(head, head + b"\n    " + tag.encode(), 1)


def _licence() -> str:
    try:
        distribution = metadata.distribution("kerafer")
    except metadata.PackageNotFoundError:
        return ""
    return distribution.read_text("licenses/LICENSE") or ""
