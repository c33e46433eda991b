"""Images with what was recognized drawn on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerafer.runtime.results import FacePrediction, percent, sure_label
from kerafer.runtime.tracker import TrackedFace

# Smaller images are enlarged, or their captions could not be read; but no
# side beyond what a large photograph has.
_SHORT_SIDE = 320
_LONG_SIDE = 4096
# A JPEG file has no longer side.
_LONGEST_SIDE = 65_500
_FRAME = (255, 214, 10)
_INK = (20, 20, 20)
_RUNNERS_UP = 2
# What would be written as 0 % is not worth a word.
_LEAST = 0.005


def annotate(
    image: np.ndarray,
    faces: Sequence[FacePrediction | TrackedFace],
    note: str = "no face was found",
) -> np.ndarray:
    """Draw a frame around every face, with its expression above.

    The caption says the label with its probability and, smaller, the two that
    come next, unless they are below half a percent. Several faces are
    numbered: in their order, from 1, or as they are tracked.

    Args:
        image: uint8 RGB of shape `(height, width, 3)`.
        faces: What `predict` or `FaceTracker.update` returned.
        note: Stands in the corner where `faces` is empty.

    Returns:
        uint8 RGB. An image with a side below 320 pixels is enlarged, its
        longer side to at most 4,096; one that is longer than 65,500, the most
        that JPEG has, is shrunk to that.
    """
    short, long = sorted(image.shape[:2])
    scale = max(1.0, min(_SHORT_SIDE / short, _LONG_SIDE / long))
    scale = min(scale, _LONGEST_SIDE / long)
    size = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    if canvas is image:
        canvas = image.copy()
    if not faces:
        _place(canvas, _caption(note, "", 18), 0, 0)
    for place, face in enumerate(faces, 1):
        number = getattr(face, "track", place) if faces[1:] else None
        _draw(canvas, face, scale, number)
    return canvas


def _draw(
    canvas: np.ndarray,
    face: FacePrediction | TrackedFace,
    scale: float,
    number: int | None,
) -> None:
    height, width = canvas.shape[:2]
    x, y, across, down = (round(v * scale) for v in face.box)
    whole = (x, y, across, down) == (0, 0, width, height)
    if not whole:
        line = max(2, round(across / 100))
        corner = x + across, y + down
        cv2.rectangle(canvas, (x, y), corner, _INK, line + 2)
        cv2.rectangle(canvas, (x, y), corner, _FRAME, line)
    order = sorted(face.probabilities.items(), key=lambda p: -p[1])
    others = [
        f"{name} {percent(share)} %"
        for name, share in order[1:]
        if share >= _LEAST
    ]
    title = f"{number}: " if number else ""
    title += sure_label(face.label, face.probabilities)
    points = int(np.clip(across / 9, 13, max(13, height / 14)))
    caption = _caption(title, "  ".join(others[:_RUNNERS_UP]), points)
    above = y - caption.shape[0]
    _place(canvas, caption, x, above if above >= 0 else y)


def _caption(title: str, below: str, points: int) -> np.ndarray:
    """Text on a plate, as an image."""
    large = ImageFont.load_default(points)
    below_points = max(11, round(points * 0.65))
    small = ImageFont.load_default(below_points)
    pad = max(3, points // 4)
    width = large.getlength(title)
    line = points + pad
    if below:
        width = max(width, small.getlength(below))
        height = line + round(below_points * 1.2) + pad
    else:
        height = line + pad
    plate = Image.new("RGB", (round(width) + 2 * pad, height), _FRAME)
    pen = ImageDraw.Draw(plate)
    pen.text((pad, pad // 2), title, _INK, large)
    pen.text((pad, line), below, _INK, small)
    return np.asarray(plate)


def _place(canvas: np.ndarray, plate: np.ndarray, x: int, y: int) -> None:
    """Lay a plate on an image, moved so that it is all seen."""
    height, width = canvas.shape[:2]
    plate = plate[:height, :width]
    x = int(np.clip(x, 0, width - plate.shape[1]))
    y = int(np.clip(y, 0, height - plate.shape[0]))
    canvas[y : y + plate.shape[0], x : x + plate.shape[1]] = plate
