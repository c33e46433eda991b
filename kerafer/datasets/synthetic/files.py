"""Write the synthetic dataset as files."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from kerafer.console import track
from kerafer.datasets.kdef import ANGLES
from kerafer.datasets.synthetic.dataset import (
    MOST_PEOPLE,
    draw_image,
    list_images,
)


def write_kdef_tree(
    folder: str | os.PathLike,
    people: int = MOST_PEOPLE,
    angles: str | Iterable[str] = ANGLES,
    seed: int = 0,
    size: tuple[int, int] = (562, 762),
) -> int:
    """Write JPEG files with KDEF's folders, names and size.

    A second run writes the same bytes, so an interrupted run can be repeated.

    Args:
        folder: Folder to write to.
        people: As for `load_synthetic`. Default: 70.
        angles: As for `load_synthetic`. Default: all.
        seed: As for `load_synthetic`. Default: 0.
        size: Width and height in pixels. Default: KDEF's `(562, 762)`.

    Returns:
        The number of files.

    Raises:
        UserError: As `load_synthetic`.
    """
    folder = Path(folder)
    paths = list_images(people, angles, seed)["path"].tolist()
    write = functools.partial(_write, folder, seed=seed, size=size)
    with ThreadPoolExecutor(2) as pool:
        try:
            for _ in track(pool.map(write, paths), "Drawing faces", len(paths)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return len(paths)


def _write(folder: Path, path: str, seed: int, size: tuple[int, int]) -> None:
    image = cv2.cvtColor(draw_image(path, seed, size), cv2.COLOR_RGB2BGR)
    quality = (cv2.IMWRITE_JPEG_QUALITY, 95)
    data = cv2.imencode(".jpg", image, quality)[1]
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(data.tobytes())
    part.replace(target)
