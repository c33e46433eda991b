"""Cutting faces out of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# x, y, width and height in pixels of the whole image.
Box = tuple[int, int, int, int]

# The article's crops end at hair line and chin; a detector's are tighter.
MARGIN = 0.2


def crop(image: np.ndarray, box: Box, margin: float = MARGIN) -> np.ndarray:
    """Cut a square around a face out of an image.

    Args:
        image: Of shape `(height, width, channels)`.
        box: The face.
        margin: Added on each side, as a part of the box's longer side.
            Defaults to 0.2.

    Returns:
        A square image. Where it reaches beyond the edge, the edge's pixels
        are repeated.
    """
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    if np.ptp(rows) == np.ptp(columns) == side - 1:
        # Inside the image, which is what most are and what is fast.
        return image[top : top + side, left : left + side].copy()
    return image[rows[:, None], columns[None, :]]


def crop_faces(
    image: np.ndarray, boxes: Sequence[Box], margin: float = MARGIN
) -> list[np.ndarray]:
    """Cut every face out of an image, as `crop` does.

    Args:
        image: Of shape `(height, width, channels)`.
        boxes: The faces. A box that is the image itself takes it whole,
            without a margin.
        margin: As for `crop`. Defaults to 0.2.
    """
    whole = (0, 0, image.shape[1], image.shape[0])
    return [
        image if box == whole else crop(image, box, margin) for box in boxes
    ]
