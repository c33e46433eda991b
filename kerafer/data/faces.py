"""Where the face is, found once and kept on disk."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kerafer.console import track
from kerafer.data.cache import cache_folder

if TYPE_CHECKING:
    from kerafer.data.dataset import Dataset

# x, y, width and height in pixels of the whole picture.
Box = tuple[int, int, int, int]
Detector = Callable[[np.ndarray], Box | None]

# The article's crops end at hair line and chin; a detector's are tighter.
MARGIN = 0.2
_LONGEST_SIDE = 480


def find_faces(
    dataset: Dataset, detector: Detector | None = None
) -> list[Box | None]:
    """Find the face on every picture.

    What was found is written down picture by picture in the user's cache
    folder, so an interrupted search goes on where it was, and a second one
    returns at once.

    Args:
        dataset: The pictures.
        detector: Takes uint8 RGB and returns the box of one face or `None`.
            Defaults to MTCNN; another's results are not kept.

    Returns:
        One box a picture, `None` where no face was found.
    """
    paths = dataset.manifest["path"].tolist()
    if detector is not None:
        return [detector(dataset.read_image(path)) for path in paths]
    file = cache_folder("faces") / f"{dataset.name}-{_key(dataset)}.csv"
    known = _read(file)
    missing = [path for path in paths if path not in known]
    if missing:
        detector = mtcnn_detector()
        with open(file, "a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            for path in track(missing, "Finding faces", len(missing)):
                box = detector(dataset.read_image(path))
                writer.writerow([path, *(box or ())])
                stream.flush()
                known[path] = box
    return [known[path] for path in paths]


def mtcnn_detector() -> Detector:
    """The `mtcnn` package's detector; of several faces it takes the largest."""
    from mtcnn import MTCNN

    network = MTCNN()

    def detect(image: np.ndarray) -> Box | None:
        shrunk = min(1.0, _LONGEST_SIDE / max(image.shape[:2]))
        if shrunk < 1:
            size = (
                max(1, round(image.shape[1] * shrunk)),
                max(1, round(image.shape[0] * shrunk)),
            )
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # Below its smallest scale MTCNN fails instead of finding nothing.
        if min(image.shape[:2]) < 24:
            return None
        found = network.detect_faces(image)
        boxes = [face["box"] for face in found or ()]
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box[2] * box[3])
        return tuple(round(value / shrunk) for value in largest)

    return detect


def crop(image: np.ndarray, box: Box, margin: float = MARGIN) -> np.ndarray:
    """Cut a square around a face out of a picture.

    Args:
        image: Of shape `(height, width, channels)`.
        box: The face.
        margin: Added on each side, as a part of the box's longer side.
            Defaults to 0.2.

    Returns:
        A square picture. Where it reaches beyond the edge, the edge's pixels
        are repeated.
    """
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    return image[rows[:, None], columns[None, :]]


def crop_faces(image: np.ndarray, boxes: Sequence[Box]) -> list[np.ndarray]:
    """Cut every face out of a picture, as `crop` does.

    Args:
        image: Of shape `(height, width, channels)`.
        boxes: The faces. A box that is the picture itself takes it whole,
            without a margin.
    """
    whole = (0, 0, image.shape[1], image.shape[0])
    return [image if box == whole else crop(image, box) for box in boxes]


def _key(dataset: Dataset) -> str:
    facts = [str(dataset.root and dataset.root.resolve()), dataset.fingerprint]
    if dataset.root is not None:
        facts += [
            (path, os.path.getmtime(dataset.root / path))
            for path in dataset.manifest["path"]
        ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _read(file: Path) -> dict[str, Box | None]:
    """The boxes that are known; a line cut off by a kill is dropped."""
    if not file.exists():
        return {}
    text = file.read_bytes().decode("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, encoding="utf-8", newline="")
    known: dict[str, Box | None] = {}
    for path, *box in csv.reader(whole.splitlines()):
        known[path] = tuple(int(v) for v in box) if len(box) == 4 else None
    return known
