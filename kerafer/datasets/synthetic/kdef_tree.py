"""The drawn set, written out as KDEF is handed out."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2

from kerafer.console import track
from kerafer.datasets.kdef import ANGLES
from kerafer.datasets.synthetic.dataset import (
    MOST_PEOPLE,
    draw_image,
    list_images,
)
from kerafer.errors import UserError

THREADS = 2
QUALITY = 95


def write_kdef_tree(
    folder: str | os.PathLike,
    people: int = MOST_PEOPLE,
    angles: str | Iterable[str] = ANGLES,
    seed: int = 0,
    size: tuple[int, int] = (562, 762),
) -> int:
    """Write the drawn set as JPEG files with KDEF's folders, names and size.

    Every file appears whole or not at all, and a second run writes the same
    bytes, so an interrupted run is simply repeated.

    Args:
        folder: Where the folders `AF01`, `AM01`, ... go; made where it is
            missing.
        people: 1 to 70. Defaults to 70: with all angles 4,900 files.
        angles: Of `FL`, `HL`, `S`, `HR`, `FR`, as a list or joined by commas,
            or `"all"`. Defaults to all of them.
        seed: As of `load_synthetic`. Defaults to 0.
        size: Width and height in pixels. Defaults to KDEF's `(562, 762)`.

    Returns:
        How many files were written.

    Raises:
        UserError: For another number of people, an unknown angle, a negative
            seed, or where `folder` is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"The drawn set is written to a folder. Received a file: {folder}."
        )
    paths = list_images(people, angles, seed)["path"].tolist()
    for name in {path.partition("/")[0] for path in paths}:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write = functools.partial(_write, folder, seed=seed, size=size)
    for _ in track(_in_threads(write, paths), "Drawing faces", len(paths)):
        pass
    return len(paths)


def _in_threads(write: functools.partial, paths: list[str]) -> Iterator[None]:
    # Not the pool's `map`: an interrupt would wait for all 4,900 files.
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[None]] = deque()
        for path in paths:
            waiting.append(pool.submit(write, path))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write(folder: Path, path: str, seed: int, size: tuple[int, int]) -> None:
    image = draw_image(path, seed=seed, size=size)
    data = cv2.imencode(
        ".jpg",
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
        (cv2.IMWRITE_JPEG_QUALITY, QUALITY),
    )[1]
    target = folder / path
    beside = target.with_suffix(".part")
    beside.write_bytes(data.tobytes())
    beside.replace(target)
