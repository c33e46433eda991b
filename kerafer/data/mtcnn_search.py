"""The face on a picture, as MTCNN finds it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from kerafer.data.faces import Box

Detector = Callable[[np.ndarray], Box | None]

_LONGEST_SIDE = 480


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
