"""Search again with padding where a detector finds no face."""

from __future__ import annotations

import cv2
import numpy as np

from kerafer.faces.detector import Face, FaceDetector
from kerafer.images import is_blank

# An image of no more pixels shows one face, or nothing to recognize.
_THUMBNAIL = 64
# A larger one is shrunk first, or its border would take gigabytes.
_LARGEST = 2560
_GRAY = (127, 127, 127)


class PaddedRetry:
    """Find faces that fill their image too.

    Detectors miss many faces that reach from edge to edge. If one finds none,
    it searches again with a gray border half as wide as the image. An image
    of at most 64 x 64 pixels is taken whole if that finds none either, with
    score 0, unless it shows one color only.

    Args:
        detector: Finds the faces.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces on an image, the largest first."""
        faces = self._detector.detect(image) or self._detect_padded(image)
        height, width = image.shape[:2]
        if faces or max(height, width) > _THUMBNAIL or is_blank(image):
            return faces
        return [Face((0, 0, width, height), 0.0)]

    def _detect_padded(self, image: np.ndarray) -> list[Face]:
        scale = min(1.0, _LARGEST / max(image.shape[:2]))
        if scale < 1:
            size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        down, across = (round(side / 2) for side in image.shape[:2])
        padded = cv2.copyMakeBorder(
            image,
            *(down, down, across, across),
            cv2.BORDER_CONSTANT,
            value=_GRAY,
        )
        faces = []
        for (x, y, width, height), score in self._detector.detect(padded):
            box = x - across, y - down, width, height
            faces.append(Face(tuple(round(n / scale) for n in box), score))
        return faces
