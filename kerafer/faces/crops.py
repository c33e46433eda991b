"""Crop images to faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# x, y, width and height in pixels of the whole image.
Box = tuple[int, int, int, int]

# The article's crops end at hair line and chin; a detector's are tighter.
MARGIN = 0.2


def crop(image: np.ndarray, box: Box, margin: float = MARGIN) -> np.ndarray:
    """Crop an image to a square around a face.

    Args:
        image: Of shape `(height, width, channels)`.
        box: The face.
        margin: Added on each side, relative to the box's longer side.
            Default: 0.2.

    Returns:
        A square image. Beyond the image's edge, the edge's pixels are
        repeated.
    """
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    if np.ptp(rows) == np.ptp(columns) == side - 1:
        # Most are inside the image, where slices are faster.
        return image[top : top + side, left : left + side].copy()
    return image[rows[:, None], columns[None, :]]


def crop_faces(
    image: np.ndarray, boxes: Sequence[Box], margin: float = MARGIN
) -> list[np.ndarray]:
    """Crop an image to each of its faces, as `crop` does.

    A box that is the image itself takes it whole, without a margin.
    """
    whole = (0, 0, image.shape[1], image.shape[0])
    return [
        image if box == whole else crop(image, box, margin) for box in boxes
    ]
