"""What every face detector can do, and what one needs to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from kerafer.faces.crops import Box


class Face(NamedTuple):
    """A face that was found.

    Args:
        box: x, y, width and height, pixels; it may reach over the edge.
        score: How sure the detector is, 0 to 1.
    """

    box: Box
    score: float


class FaceDetector(Protocol):
    """Anything with this method finds faces for a recognizer or a tracker."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find the faces on an image.

        Args:
            image: uint8 RGB of shape `(height, width, 3)`.

        Returns:
            The faces, the largest first; an empty list where there is none.
        """


# What `make_detector` searches: larger images larger.
_USUAL_SIDE, _LARGEST_SIDE = 480, 1280


def searched_side(image: np.ndarray) -> int:
    """The longer side, pixels, at which an image is searched by default.

    Half of its own, but 480 at least and 1280 at most. A face of 20 pixels
    there is found: on a photograph of 4000 pixels one of 63, and not only of
    167.
    """
    half = max(image.shape[:2]) // 2
    return min(max(half, _USUAL_SIDE), _LARGEST_SIDE)


def detect_shrunk(
    image: np.ndarray,
    longest_side: int | None,
    find: Callable[[np.ndarray], list[Face]],
) -> list[Face]:
    """Find faces on a smaller copy, and tell where they are on the image.

    Args:
        image: uint8 RGB of shape `(height, width, 3)`.
        longest_side: The copy's, pixels. A smaller image stays as it is.
            `None` is that of `searched_side`.
        find: Finds the faces on the copy.
    """
    height, width = image.shape[:2]
    side = searched_side(image) if longest_side is None else longest_side
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # A side of a few pixels shows no face, and networks stumble over it.
    if min(image.shape[:2]) < 24:
        return []
    faces = [
        Face(tuple(round(v / scale) for v in box), float(score))
        for box, score in find(image)
    ]
    return sorted(faces, key=lambda f: f.box[2] * f.box[3], reverse=True)


class WholeImageDetector:
    """Take every image for one face, as models see it that learnt so."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """One face that is the image, as `FaceDetector.detect` says."""
        return [Face((0, 0, image.shape[1], image.shape[0]), 1.0)]
