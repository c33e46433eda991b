"""The head's shape in three dimensions, and how it is seen."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike

from kerafer.datasets.synthetic.identity import Identity

# One row a height, from the crown to the chin: height, half of the width, the
# front, the back, and the depth of the line between both, where the face ends
# and the back of the head begins. A unit is about two thirds of a head's
# width, zero lies between the eyes inside of the head, y points down and z to
# the viewer.
SHAPE = np.array(
    [
        [-1.10, 0.02, -0.08, -0.12, -0.10],
        [-1.05, 0.31, 0.22, -0.48, -0.10],
        [-0.92, 0.52, 0.46, -0.74, -0.08],
        [-0.66, 0.69, 0.66, -0.95, -0.05],
        [-0.40, 0.75, 0.75, -1.02, -0.03],
        [-0.15, 0.765, 0.77, -1.00, -0.02],
        [0.00, 0.76, 0.73, -0.95, 0.00],
        [0.22, 0.735, 0.74, -0.82, 0.02],
        [0.45, 0.68, 0.75, -0.55, 0.06],
        [0.66, 0.585, 0.76, -0.18, 0.12],
        [0.84, 0.47, 0.735, 0.00, 0.25],
        [0.98, 0.33, 0.735, 0.18, 0.38],
        [1.06, 0.20, 0.68, 0.32, 0.46],
        [1.085, 0.02, 0.52, 0.48, 0.50],
    ]
)
# Sections of the head are superellipses: a little flatter than ellipses.
POWER = 2.3
DUAL = POWER / (POWER - 1)
JAW_TOP, CHIN = 0.62, 1.085
# Heights between which the shape is tabulated, and how many there are.
TOP, BOTTOM, TABLE = -1.3, 1.5, 2048
# From 0 to 1, denser at the ends, where outlines are round.
DENSE = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 24))


def smooth(points: ArrayLike, steps: int = 5) -> np.ndarray:
    """A Catmull-Rom curve through points of shape `(n, d)`."""
    points = np.asarray(points, np.float64)
    return _spline(len(points), steps) @ points


@functools.cache
def _spline(count: int, steps: int) -> np.ndarray:
    """The share of every point in every point of the curve."""
    shares = np.zeros(((count - 1) * steps + 1, count))
    for row in range(len(shares) - 1):
        first, t = row // steps, row % steps / steps
        for offset, share in (
            (-1, -t + 2 * t**2 - t**3),
            (0, 2 - 5 * t**2 + 3 * t**3),
            (1, t + 4 * t**2 - 3 * t**3),
            (2, -(t**2) + t**3),
        ):
            shares[row, min(max(first + offset, 0), count - 1)] += share / 2
    shares[-1, -1] = 1
    return shares


def pair(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Points `(n, 2)` of their coordinates."""
    points = np.empty((np.size(y), 2))
    points[:, 0], points[:, 1] = x, y
    return points


ROWS = smooth(SHAPE, 4)


def moved(points: np.ndarray, right: float, down: float) -> np.ndarray:
    """Points of shape `(..., 2)`, shifted."""
    return points + np.array((right, down))


class Head:
    """A person's head, turned and placed on an image of some size.

    Args:
        identity: Whose head it is.
        yaw: Turn in degrees; negative turns the nose to the image's left.
        pitch: Nod in degrees; positive lowers the nose.
        roll: Tilt in degrees; positive tilts the crown to the right.
        unit: Pixels a unit of the head.
        centre: Pixel (x, y) on which the head's zero falls.
        jaw_drop: How far the chin is lowered, in units.
    """

    def __init__(
        self,
        identity: Identity,
        yaw: float,
        pitch: float,
        roll: float,
        unit: float,
        centre: tuple[float, float],
        jaw_drop: float,
    ) -> None:
        rows = ROWS.copy()
        lower = np.clip((rows[:, 0] - 0.3) / (CHIN - 0.3), 0, None)
        rows[:, 0] += lower * (identity.chin_length - 1) * 0.8
        jaw = np.clip((rows[:, 0] - 0.1) / 0.5, 0, 1)
        rows[:, 1] *= identity.face_width * (1 + jaw * (identity.jaw_width - 1))
        self.chin = rows[-1, 0] + jaw_drop
        drop = np.clip((rows[:, 0] - JAW_TOP) / (CHIN - JAW_TOP), 0, 1)
        rows[:, 0] += drop * jaw_drop
        self.yaw = yaw
        self.unit = unit
        turn, nod, tilt = np.radians((yaw, pitch, roll))
        self.cos, self.sin = np.cos(turn), np.sin(turn)
        pitched = np.array(
            [[1, 0], [0, np.cos(nod)], [0, np.sin(nod)]], np.float64
        )
        turned = np.array(
            [[self.cos, 0, -self.sin], [0, 1, 0], [self.sin, 0, self.cos]]
        )
        tilted = np.array(
            [[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]
        )
        heights = np.linspace(TOP, BOTTOM, TABLE)
        width, front, back, middle = (
            np.interp(heights, rows[:, 0], rows[:, i]) for i in range(1, 5)
        )
        depth = front - middle
        reach = self.reach(width, depth)
        edge = width * (width * self.cos / reach) ** (DUAL - 1)
        low = -edge if self.sin < 0 else -width
        high = edge if self.sin > 0 else width
        self._table = np.stack(
            (width, front, back, middle, depth, low, high), 1
        )
        self._flat = pitched[:2] @ tilted * unit
        self._solid = turned @ pitched @ tilted * unit
        self._centre = np.array(centre)

    @property
    def turned(self) -> bool:
        """Whether one side of the head is clearly nearer than the other."""
        return abs(self.yaw) > 15

    def reach(self, width: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """How far sections of the head go sideways when they are turned."""
        across = np.abs(width * self.cos) ** DUAL
        return (across + np.abs(depth * self.sin) ** DUAL) ** (1 / DUAL)

    def sections(self, heights: ArrayLike) -> np.ndarray:
        """What the head is like at some heights.

        Returns:
            Half width, front, back, middle, depth from the middle to the
            front, and how far the face is in sight to the left and right.
        """
        rows = (np.asarray(heights) - TOP) * ((TABLE - 1) / (BOTTOM - TOP))
        return self._table.take(rows.astype(np.intp), 0, mode="clip").T

    def lift(self, face: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
        """Put points of the flat face on the head.

        Args:
            face: Shape `(n, 2)`: right and down, as seen from the front.
                Where the head turns away they end at its edge.
            offset: How far they stand out to the front.

        Returns:
            Shape `(n, 3)`.
        """
        width, _, _, middle, depth, low, high = self.sections(face[:, 1])
        points = np.empty((len(face), 3))
        across = np.minimum(np.maximum(face[:, 0], low), high)
        rest = np.maximum(1 - np.abs(across / width) ** POWER, 0)
        points[:, 0] = across
        points[:, 1] = face[:, 1]
        points[:, 2] = middle + depth * rest ** (1 / POWER) + offset
        return points

    def place(self, points: np.ndarray) -> np.ndarray:
        """Pixels `(n, 2)` of points `(n, 3)`, or of turned ones `(n, 2)`."""
        matrix = self._solid if points.shape[1] == 3 else self._flat
        return points @ matrix + self._centre

    def outline(
        self,
        top: float,
        bottom: float,
        grow: float | np.ndarray = 0.0,
        face: float = np.inf,
    ) -> np.ndarray:
        """The turned head's outline between two heights.

        Args:
            top: Upper height.
            bottom: Lower height.
            grow: How far it stands off the head.
            face: Height below which only the back of the head counts, as for
                hair, which lies close at the neck. Defaults to none.

        Returns:
            Turned points (right, down), down one side and up the other.
        """
        heights = top + (bottom - top) * DENSE
        width, _, back, middle, depth, _, _ = self.sections(heights)
        if face < self.chin:
            grow = grow * np.clip(1 - 2.2 * heights, -0.5, 1)
        sides = []
        for sign in (1, -1):
            if sign * self.sin < 0:
                reach = self.reach(width, middle - back)
            else:
                reach = self.reach(width, depth)
                reach = np.where(heights > face, width * self.cos, reach)
            sides.append(sign * (reach + grow) + middle * self.sin)
        lifted = heights - grow * np.clip(-heights, -0.1, 1)
        right, left = (pair(side, lifted) for side in sides)
        return np.concatenate((right, left[::-1]))
