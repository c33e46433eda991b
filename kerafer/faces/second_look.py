"""A detector that looks twice."""

from __future__ import annotations

import cv2
import numpy as np

from kerafer.faces.detector import Box, Face, FaceDetector
from kerafer.images import is_blank

# An image of no more pixels shows one face or nothing that can be told.
_THUMBNAIL = 64
# A larger one is shrunk first, or its border would take gigabytes.
_LARGEST = 2560
_BORDER = 0.5
_GRAY = (127, 127, 127)


class SecondLook:
    """Find faces that fill their image too.

    Detectors learnt that a face has something around it, and miss many of
    those that reach from edge to edge. Where one finds none, it is asked once
    more, with a gray border half as wide as the image. An image of at most
    64 x 64 pixels is taken whole when that finds none either, with score 0,
    unless it shows one colour only.

    Args:
        detector: Finds the faces.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find the faces on an image, as `FaceDetector.detect` says."""
        faces = self._detector.detect(image) or self._bordered(image)
        height, width = image.shape[:2]
        if faces or max(height, width) > _THUMBNAIL or is_blank(image):
            return faces
        return [Face((0, 0, width, height), 0.0)]

    def _bordered(self, image: np.ndarray) -> list[Face]:
        scale = min(1.0, _LARGEST / max(image.shape[:2]))
        if scale < 1:
            size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        down, across = (round(_BORDER * side) for side in image.shape[:2])
        kind = cv2.BORDER_CONSTANT
        bordered = cv2.copyMakeBorder(
            image, down, down, across, across, kind, value=_GRAY
        )
        return [
            Face(_scaled((x - across, y - down, *sides), scale), score)
            for (x, y, *sides), score in self._detector.detect(bordered)
        ]


def _scaled(box: Box, scale: float) -> Box:
    x, y, width, height = (round(n / scale) for n in box)
    return x, y, width, height
