"""What the user points at: images, videos and streams."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kerafer.errors import ConfigError, UserError
from kerafer.images import SUFFIXES, describe_kinds, is_image
from kerafer.runtime.video import is_stream, is_video, without_secrets

VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm"),
    *(".mpg", ".mpeg", ".m1v", ".m2v", ".mp2v", ".vob", ".ts", ".m2ts"),
    *(".mts", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".ogm", ".3gp"),
    *(".3g2", ".mxf", ".mjpeg", ".mjpg", ".y4m"),
)


class Source(NamedTuple):
    """An image, video or stream to be read.

    Args:
        path: The file, the address of a stream or the number of a camera.
        name: Where its copy stands below the folder of results, without
            suffix; no two sources have the same.
        is_video: Told by the content: not an image's, and OpenCV gets frames
            out of it. Of a file that is neither the suffix tells.
    """

    path: Path | str | int
    name: str
    is_video: bool

    @property
    def file(self) -> Path:
        """The path of what is not a stream or a camera."""
        return Path(str(self.path))

    @property
    def shown(self) -> str:
        """The file, the camera, or the address without its secrets."""
        if isinstance(self.path, int):
            return self.name
        if is_stream(self.path):
            return without_secrets(str(self.path))
        return str(self.path)


def find_sources(paths: Sequence[str], out: Path) -> list[Source]:
    """List the files that paths stand for.

    Args:
        paths: Files, which are taken whatever their names; folders, of which
            all files with the suffix of an image or a video are taken, with
            those of the folders inside; patterns such as `people/**/*.jpg`;
            and addresses of streams.
        out: The folder of results; what is in it is left out of folders.

    Returns:
        Each file once, in the order of the paths, folders sorted.

    Raises:
        UserError: If a path stands for nothing.
    """
    found: dict[Path | str, str] = {}
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
        sources.append(Source(file, name, _is_video(file)))
    return sources


def keep_originals(
    sources: Sequence[Source], written: Iterable[Path], out: Path
) -> None:
    """Refuse to write over what is read.

    Args:
        sources: What is read.
        written: What will be written.
        out: The folder that the user named for it.

    Raises:
        ConfigError: Names the first that is both.
    """
    originals = {
        Path(source.path).resolve()
        for source in sources
        if isinstance(source.path, Path)
    }
    for file in written:
        if file.resolve() in originals:
            raise ConfigError(
                "`out` is a folder where no original would be replaced. "
                f"Received {out}, with {file} among the originals."
            )


def find_left_out(paths: Sequence[str], out: Path) -> list[Path]:
    """List the files that `find_sources` leaves out of folders.

    Args:
        paths: As for `find_sources`.
        out: As there.

    Returns:
        Those whose suffix is neither an image's nor a video's. Hidden files
        are not among them.
    """
    folders = [path for path in paths if os.path.isdir(path)]
    files = [file for path in folders for file in _walk(path, out)]
    return [file for file in dict.fromkeys(files) if not _is_taken(file)]


def _is_video(file: Path | str) -> bool:
    if is_stream(file):
        return True
    suffix = Path(file).suffix.lower()
    # Photos are opened only once, when they are decoded.
    if suffix in SUFFIXES or is_image(file):
        return False
    return suffix in VIDEOS or is_video(Path(file))


def _expand(path: str, out: Path) -> Iterator[tuple[Path | str, str]]:
    if is_stream(path):
        words = re.findall(r"[\w.-]+", without_secrets(path))
        yield path, "-".join(words)[:100]
    elif os.path.isdir(path):
        yield from _folder(path, out)
    elif os.path.exists(path):
        yield Path(path), Path(path).stem
    else:
        matches = sorted(glob.glob(path, recursive=True))
        files = [match for match in matches if os.path.isfile(match)]
        if not files:
            raise UserError(
                "A path is an image, a video, a folder of them, a pattern "
                "such as 'people/*.jpg' or the address of a stream. There is "
                f"no {path}."
            )
        yield from ((Path(file), Path(file).stem) for file in files)


def _folder(path: str, out: Path) -> list[tuple[Path, str]]:
    files = list(_walk(path, out))
    found = [
        (file, file.relative_to(path).with_suffix("").as_posix())
        for file in files
        if _is_taken(file)
    ]
    if not found:
        others = f", but {describe_kinds(files)}" if files else ""
        raise UserError(
            "A folder has images or videos in it, told by their suffixes "
            f"({', '.join(SUFFIXES[:5])} ...). There are none in "
            f"{path}{others}."
        )
    return found


def _walk(path: str, out: Path) -> Iterator[Path]:
    """All files but the hidden ones, and those of the folder of results."""
    for folder, inside, files in os.walk(path):
        inside[:] = [
            name
            for name in sorted(inside)
            if not name.startswith(".")
            and Path(folder, name).resolve() != out.resolve()
        ]
        for file in sorted(files):
            if not file.startswith("."):
                yield Path(folder, file)


def _is_taken(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES + VIDEOS
