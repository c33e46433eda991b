"""MTCNN, run by TensorFlow."""

from __future__ import annotations

import numpy as np

from kerafer.engine import load_tensorflow
from kerafer.extras import extra_for
from kerafer.runtime.face_detector import Face, detect_shrunk


class MtcnnDetector:
    """Find faces with the `mtcnn` package, which loads TensorFlow.

    It is the detector that training cuts faces out with (`face_crop`).

    Args:
        longest_side: Larger pictures are searched at this size, pixels.
            Defaults to 480, as in training. `None` is that of `searched_side`.

    Raises:
        UserError: Where the package is not installed.
    """

    def __init__(self, longest_side: int | None = 480) -> None:
        self._longest_side = longest_side
        with extra_for("This detector"):
            load_tensorflow()
            from mtcnn import MTCNN
        self._network = MTCNN()

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find the faces on a picture, as `FaceDetector.detect` says."""
        return detect_shrunk(image, self._longest_side, self._find)

    def _find(self, image: np.ndarray) -> list[Face]:
        return [
            Face(tuple(face["box"]), face["confidence"])
            for face in self._network.detect_faces(image) or ()
        ]
