"""Pictures that are faces already."""

from __future__ import annotations

import numpy as np

from kerafer.runtime.face_detector import Face


class WholePictureDetector:
    """Take every picture for one face, as models see it that learnt so."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """One face that is the picture, as `FaceDetector.detect` says."""
        return [Face((0, 0, image.shape[1], image.shape[0]), 1.0)]
