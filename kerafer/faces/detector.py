"""The interface of face detectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from kerafer.faces.crops import Box

# Bounds of the size at which `make_detector` searches by default.
_USUAL_SIDE, _LARGEST_SIDE = 480, 1280


class Face(NamedTuple):
    """A detected face.

    Args:
        box: x, y, width and height in pixels; it may reach over the edge.
        score: Confidence of the detector, 0 to 1.
    """

    box: Box
    score: float


class FaceDetector(Protocol):
    """Anything with this method finds faces for a recognizer or a tracker."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces on an image, the largest first.

        Args:
            image: uint8 RGB of shape `(height, width, 3)`.
        """


class WholeImageDetector:
    """Take every image for one face, for models trained on whole images."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return one face that is the image."""
        return [Face((0, 0, image.shape[1], image.shape[0]), 1.0)]


def searched_side(image: np.ndarray) -> int:
    """Return the longer side, in pixels, at which to search an image.

    It is half of the image's own, but 480 to 1280. A face of 20 pixels there
    is found: on a photograph of 4000 pixels one of 63.
    """
    half = max(image.shape[:2]) // 2
    return min(max(half, _USUAL_SIDE), _LARGEST_SIDE)


def detect_shrunk(
    image: np.ndarray,
    longest_side: int | None,
    find: Callable[[np.ndarray], list[Face]],
) -> list[Face]:
    """Find faces on a smaller copy, and return their boxes on the image.

    Args:
        image: uint8 RGB of shape `(height, width, 3)`.
        longest_side: The copy's, in pixels; smaller images are not resized.
            `None`: that of `searched_side`.
        find: Finds the faces on the copy.
    """
    height, width = image.shape[:2]
    side = searched_side(image) if longest_side is None else longest_side
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # Networks fail on a few pixels, which show no face.
    if min(image.shape[:2]) < 24:
        return []
    faces = [
        Face(tuple(round(v / scale) for v in box), float(score))
        for box, score in find(image)
    ]
    return sorted(faces, key=lambda f: f.box[2] * f.box[3], reverse=True)
