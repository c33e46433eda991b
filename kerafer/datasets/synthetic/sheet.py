"""What a head's parts are collected on before they are drawn."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np

from kerafer.datasets.synthetic.head import Head

# Fractional bits of a corner's pixel, and width of the map of soft shadows.
SHIFT = 4
COARSE = 64


class Part(NamedTuple):
    """An outline, or a line where it has a width."""

    points: np.ndarray
    colour: tuple | int
    offset: float | None = None
    width: float = 0.0
    ends: float = 0.0


class Sheet:
    """The parts of an image, back to front.

    All are placed at once when they are drawn: one by one, NumPy would take
    longer to be called than to compute.

    Args:
        head: Whose points are placed on the image.
        size: The image's width and height.
    """

    def __init__(self, head: Head, size: tuple[int, int]) -> None:
        self.head = head
        self.coarse = COARSE / size[0]
        self.coarse_size = COARSE, round(COARSE * size[1] / size[0])
        self._parts: list[Part] = []
        self._shades: list[Part] = []

    def fill(self, points: np.ndarray, colour: tuple) -> None:
        """Fill the outline of solid or turned points."""
        self._parts.append(Part(self.head.place(points), colour))

    def fill_face(
        self, face: np.ndarray, colour: tuple, offset: float = 0.02
    ) -> None:
        """Fill an outline on the face."""
        self._parts.append(Part(face, colour, offset))

    def stroke(
        self,
        points: np.ndarray,
        colour: tuple,
        width: float,
        ends: float = 0.0,
    ) -> None:
        """Draw a line of `width` units, at its ends only `ends` of it."""
        line = self.head.place(points)
        self._parts.append(Part(line, colour, None, width, ends))

    def stroke_face(
        self,
        face: np.ndarray,
        colour: tuple,
        width: float,
        offset: float = 0.02,
        ends: float = 0.0,
    ) -> None:
        """Draw a line on the face."""
        self._parts.append(Part(face, colour, offset, width, ends))

    def shade_face(self, face: np.ndarray, amount: float) -> None:
        """Make a part of the face darker (below zero) or lighter, softly."""
        self._shades.append(Part(face, 128 + round(127 * amount), 0.0))

    def draw(self, image: np.ndarray) -> None:
        """Draw the parts on uint8 RGB of shape `(height, width, 3)`."""
        self._draw(self._parts, image, 1.0)

    def draw_shade(self) -> np.ndarray:
        """The soft shadows: uint8 of the coarse size, 128 for none."""
        shade = np.full(self.coarse_size[::-1], 128, np.uint8)
        self._draw(self._shades, shade, self.coarse)
        return cv2.GaussianBlur(shade, (0, 0), 1.3)

    def _draw(
        self, parts: list[Part], image: np.ndarray, factor: float
    ) -> None:
        counts = [len(part.points) for part in parts]
        stops = np.cumsum(counts)
        offsets = np.repeat(
            [np.nan if part.offset is None else part.offset for part in parts],
            counts,
        )
        pixels = np.concatenate([part.points for part in parts])
        face = ~np.isnan(offsets)
        pixels[face] = self.head.place(
            self.head.lift(pixels[face], offsets[face])
        )
        across = self._across(parts, counts, stops, pixels)
        fixed = (
            np.rint(((pixels + sign * across) * factor - 0.5) * (1 << SHIFT))
            for sign in (1, -1)
        )
        right, left = (side.astype(np.int32) for side in fixed)
        for part, stop, count in zip(
            parts, stops.tolist(), counts, strict=True
        ):
            outline = right[stop - count : stop]
            if part.width:
                back = left[stop - count : stop][::-1]
                outline = np.concatenate((outline, back))
            cv2.fillPoly(image, [outline], part.colour, cv2.LINE_AA, SHIFT)

    def _across(
        self,
        parts: list[Part],
        counts: list[int],
        stops: np.ndarray,
        pixels: np.ndarray,
    ) -> np.ndarray:
        """Half of the lines' widths, across them; zero for outlines."""
        following = np.arange(1, len(pixels) + 1)
        following[stops - 1] -= 1
        previous = np.arange(-1, len(pixels) - 1)
        previous[stops - counts] += 1
        along = pixels[following] - pixels[previous]
        widths = np.repeat([part.width for part in parts], counts)
        ends = np.repeat([part.ends for part in parts], counts)
        bulge = np.concatenate([_bulge(count) for count in counts])
        half = widths * (ends + (1 - ends) * bulge) * (self.head.unit / 2)
        half /= np.hypot(along[:, 0], along[:, 1]) + 1e-6
        return along[:, ::-1] * half[:, None] * (-1, 1)


@functools.cache
def _bulge(count: int) -> np.ndarray:
    return np.sin(np.linspace(0, np.pi, count))
