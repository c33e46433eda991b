"""Collect the parts of a drawing, and draw them at once."""

from __future__ import annotations

import cv2
import numpy as np

from kerafer.datasets.synthetic.head import Head
from kerafer.datasets.synthetic.subject import Colour

# Fractional bits of a corner's pixel.
_SHIFT = 4


# Corners, colour, and how far they stand out of the face; `None` for corners
# that are pixels already.
_Part = tuple[np.ndarray, Colour, float | None]


class Canvas:
    """The parts of a drawing, back to front, all placed in one fast step."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self._parts: list[_Part] = []

    def fill(self, points: np.ndarray, colour: Colour) -> None:
        """Fill an outline of points as `Head.place` takes them."""
        self._parts.append((self.head.place(points), colour, None))

    def fill_face(
        self, face: np.ndarray, colour: Colour, offset: float = 0.02
    ) -> None:
        """Fill an outline on the face."""
        self._parts.append((face, colour, offset))

    def stroke_face(
        self,
        line: np.ndarray,
        colour: Colour,
        width: float,
        offset: float = 0.02,
        ends: float = 0.0,
    ) -> None:
        """Draw a line on the face, at its ends only `ends` as wide."""
        padded = np.concatenate((line[:1], line, line[-1:]))
        along = padded[2:] - padded[:-2]
        bulge = np.sin(np.linspace(0, np.pi, len(line)))
        half = width / 2 * (ends + (1 - ends) * bulge)
        half /= np.hypot(along[:, 0], along[:, 1]) + 1e-6
        across = along[:, ::-1] * half[:, None] * (-1, 1)
        outline = np.concatenate((line + across, (line - across)[::-1]))
        self._parts.append((outline, colour, offset))

    def draw(self, image: np.ndarray) -> None:
        """Draw the parts on uint8 RGB of shape `(height, width, 3)`."""
        points, colours, offsets = zip(*self._parts, strict=True)
        counts = [len(each) for each in points]
        pixels = np.concatenate(points)
        offset = np.repeat(np.array(offsets, np.float64), counts)
        face = ~np.isnan(offset)
        lifted = self.head.lift(pixels[face], offset[face])
        pixels[face] = self.head.place(lifted)
        fixed = np.rint((pixels - 0.5) * (1 << _SHIFT))
        outlines = np.split(fixed.astype(np.int32), np.cumsum(counts)[:-1])
        for outline, colour in zip(outlines, colours, strict=True):
            cv2.fillPoly(image, [outline], colour, cv2.LINE_AA, _SHIFT)
