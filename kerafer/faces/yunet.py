"""YuNet, run by OpenCV."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from kerafer.errors import UserError
from kerafer.faces.detector import Face, detect_shrunk
from kerafer.files import native_path


class YunetDetector:
    """Find faces with `cv2.FaceDetectorYN`. An instance is for one thread.

    Args:
        file: `face_detection_yunet_*.onnx` of OpenCV's model zoo.
        longest_side: Larger images are searched at this size in pixels.
            `None`: that of `searched_side`. Default: 480.
        score: Least confidence of a face. Default: 0.7.

    Raises:
        UserError: If the file is missing or OpenCV cannot load it.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        longest_side: int | None = 480,
        score: float = 0.7,
    ) -> None:
        self._longest_side = longest_side
        hint = "YuNet needs face_detection_yunet_*.onnx of OpenCV's model zoo."
        if not Path(file).is_file():
            raise UserError(f"File not found: {file}. {hint}")
        try:
            with native_path(file) as path:
                self._network = cv2.FaceDetectorYN.create(
                    path, "", (320, 320), score
                )
        except cv2.error:
            raise UserError(f"OpenCV cannot load {file}. {hint}") from None

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces on an image, the largest first."""
        return detect_shrunk(image, self._longest_side, self._find)

    def _find(self, image: np.ndarray) -> list[Face]:
        self._network.setInputSize(image.shape[1::-1])
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, found = self._network.detect(bgr)
        # A row is the box, five landmarks, and the score.
        return [
            Face(tuple(row[:4].tolist()), row[-1])
            for row in (() if found is None else found)
        ]
