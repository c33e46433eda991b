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
    """Find faces with a YuNet file and `cv2.FaceDetectorYN`.

    The file is `face_detection_yunet_*.onnx` of OpenCV's model zoo; no package
    brings it along. One instance is for one thread.

    Args:
        file: The ONNX file.
        longest_side: Larger images are searched at this size, pixels.
            Defaults to 480. `None` is that of `searched_side`.
        score: Faces below are left out. Defaults to 0.7.

    Raises:
        UserError: Where the file is missing or OpenCV can't load it.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        longest_side: int | None = 480,
        score: float = 0.7,
    ) -> None:
        self._longest_side = longest_side
        if not Path(file).is_file():
            raise UserError(
                "YuNet's file is face_detection_yunet_*.onnx of OpenCV's "
                f"model zoo. There is no file {file}."
            )
        try:
            with native_path(file) as path:
                self._network = cv2.FaceDetectorYN.create(
                    path, "", (320, 320), score
                )
        except cv2.error:
            raise UserError(
                "YuNet's file is face_detection_yunet_*.onnx of OpenCV's "
                f"model zoo. OpenCV can't load {file}."
            ) from None

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find the faces on an image, as `FaceDetector.detect` says."""
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
