"""What the user points at: pictures and videos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kerafer.errors import UserError

PICTURES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    *(".wmv", ".3gp", ".ts"),
)


class Source(NamedTuple):
    """A picture or video to be read.

    Args:
        path: The file.
        name: Where its copy stands below the folder of results, without
            suffix; no two sources have the same.
        is_video: Told by the suffix.
    """

    path: Path
    name: str
    is_video: bool


def find_sources(paths: Sequence[str], out: Path) -> list[Source]:
    """List the files that paths stand for.

    Args:
        paths: Files, which are taken whatever their names; folders, of which
            all pictures and videos are taken with those of the folders
            inside; and patterns such as `people/**/*.jpg`.
        out: The folder of results; what is in it is left out of folders.

    Returns:
        Each file once, in the order of the paths, folders sorted.

    Raises:
        UserError: If a path stands for nothing.
    """
    found: dict[Path, str] = {}
    for path in paths:
        for file, name in _expand(path, out):
            found.setdefault(file, name)
    taken: set[str] = set()
    sources = []
    for file, name in found.items():
        stem, count = name, 1
        while name in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name)
        sources.append(Source(file, name, file.suffix.lower() in VIDEOS))
    return sources


def _expand(path: str, out: Path) -> Iterator[tuple[Path, str]]:
    if os.path.isdir(path):
        yield from _folder(path, out)
    elif os.path.exists(path):
        yield Path(path), Path(path).stem
    else:
        matches = sorted(glob.glob(path, recursive=True))
        files = [match for match in matches if os.path.isfile(match)]
        if not files:
            raise UserError(
                "A path is a picture, a video, a folder of them or a pattern "
                f"such as 'people/*.jpg'. There is no {path}."
            )
        yield from ((Path(file), Path(file).stem) for file in files)


def _folder(path: str, out: Path) -> list[tuple[Path, str]]:
    found = []
    for folder, inside, files in os.walk(path):
        inside[:] = [
            name
            for name in sorted(inside)
            if not name.startswith(".")
            and Path(folder, name).resolve() != out.resolve()
        ]
        for file in sorted(files):
            suffix = os.path.splitext(file)[1].lower()
            if not file.startswith(".") and suffix in PICTURES + VIDEOS:
                whole = Path(folder, file)
                name = whole.relative_to(path).with_suffix("")
                found.append((whole, name.as_posix()))
    if not found:
        raise UserError(
            "A folder has pictures or videos in it, told by their suffixes "
            f"({', '.join(PICTURES[:5])} ...). There are none in {path}."
        )
    return found
