"""Expressions on many files."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerafer.datasets.cores import available_cores
from kerafer.images import UnreadableImageError, read_image
from kerafer.runtime.prediction import FacePrediction
from kerafer.runtime.recognizer import Recognizer

# More would hold more images in memory, up to 0.3 GB each.
_MOST_READERS = 4


class ImagePrediction(NamedTuple):
    """What was found on the image of a file.

    Args:
        path: The file.
        faces: The largest first.
        image: uint8 RGB, `None` where the file can't be read.
        error: Why it can't.
    """

    path: Path
    faces: list[FacePrediction]
    image: np.ndarray | None
    error: UnreadableImageError | None


def predict_files(
    recognizer: Recognizer, paths: Iterable[Path]
) -> Iterator[ImagePrediction]:
    """Predict image after image, while the next are decoded.

    Args:
        recognizer: Its model and detector.
        paths: The files; as many as there are cores, at most four, are read
            ahead.

    Yields:
        One for each file, in their order; a file that is no image too.
    """
    for path, read in _read_ahead(paths):
        try:
            image = read.result()
        except UnreadableImageError as error:
            yield ImagePrediction(path, [], None, error)
            continue
        faces = recognizer.predict(image)
        yield ImagePrediction(path, faces, image, None)


def _read_ahead(
    paths: Iterable[Path],
) -> Iterator[tuple[Path, Future[np.ndarray]]]:
    readers = min(available_cores(), _MOST_READERS)
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[tuple[Path, Future[np.ndarray]]] = deque()
        for path in paths:
            waiting.append((path, pool.submit(read_image, path)))
            if len(waiting) > readers:
                yield waiting.popleft()
        yield from waiting
