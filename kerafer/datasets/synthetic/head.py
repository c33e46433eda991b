"""The shape of a head in three dimensions, and how an image shows it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from kerafer.datasets.synthetic.subject import Subject

# One row per height, from the crown to the chin: height, half of the width,
# front, back, and the depth of the line between face and back of the head. A
# unit is about two thirds of a head's width. Zero lies between the eyes inside
# the head, y points down and z to the viewer.
_SHAPE = np.array(
    [
        [-1.10, 0.02, -0.08, -0.12, -0.10],
        [-1.05, 0.31, 0.22, -0.48, -0.10],
        [-0.92, 0.52, 0.46, -0.74, -0.08],
        [-0.66, 0.69, 0.66, -0.95, -0.05],
        [-0.15, 0.765, 0.77, -1.00, -0.02],
        [0.22, 0.735, 0.74, -0.82, 0.02],
        [0.66, 0.585, 0.76, -0.18, 0.12],
        [0.84, 0.47, 0.735, 0.00, 0.25],
        [0.98, 0.33, 0.735, 0.18, 0.38],
        [1.06, 0.20, 0.68, 0.32, 0.46],
        [1.085, 0.02, 0.52, 0.48, 0.50],
    ]
)
_CHIN, _JAW_TOP = 1.085, 0.62
# Sections of the head are superellipses, a little flatter than ellipses.
_POWER = 2.3
_DUAL = _POWER / (_POWER - 1)
# From 0 to 1, denser at the ends, where outlines are round.
_DENSE = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 24))
# Beyond this yaw, degrees, the far side of the face is out of sight.
_PROFILE = 62


class Pose(NamedTuple):
    """Turn of a head, degrees, and its place, shares of the image's width.

    Yaw turns the nose to the image's right, pitch lowers it, and roll tilts
    the crown to the right.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    right: float
    down: float


def smooth(points: ArrayLike, steps: int = 5) -> np.ndarray:
    """Return a Catmull-Rom curve through points of shape `(n, d)`."""
    p = np.asarray(points, np.float64)
    padded = np.concatenate((p[:1], p, p[-1:]))
    a, b, c, d = (padded[i : len(p) - 1 + i, None] for i in range(4))
    t = (np.arange(steps) / steps)[:, None]
    bend = 2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)
    curve = b + t / 2 * (c - a + t * bend)
    return np.concatenate((curve.reshape(-1, p.shape[1]), p[-1:]))


class Head:
    """A subject's head on an image.

    Args:
        subject: Whose head.
        pose: How it is turned.
        unit: Pixels per unit of the head.
        centre: Pixel (x, y) of the head's zero.
        jaw_drop: How far the chin is lowered, units.
    """

    def __init__(
        self,
        subject: Subject,
        pose: Pose,
        unit: float,
        centre: tuple[float, float],
        jaw_drop: float,
    ) -> None:
        rows = smooth(_SHAPE, 4)
        lower = np.clip((rows[:, 0] - 0.3) / (_CHIN - 0.3), 0, None)
        rows[:, 0] += lower * (subject.chin_length - 1) * 0.8
        jaw = np.clip((rows[:, 0] - 0.1) / 0.5, 0, 1)
        rows[:, 1] *= subject.face_width * (1 + jaw * (subject.jaw_width - 1))
        self.chin = rows[-1, 0] + jaw_drop
        drop = np.clip((rows[:, 0] - _JAW_TOP) / (_CHIN - _JAW_TOP), 0, 1)
        rows[:, 0] += drop * jaw_drop
        turn, nod, tilt = np.radians((pose.yaw, pose.pitch, pose.roll))
        self._cos, self.sin = np.cos(turn), np.sin(turn)
        near = -1 if self.sin > 0 else 1
        # The visible sides, the farther one first.
        self.sides = (near,) if abs(pose.yaw) > _PROFILE else (-near, near)
        pitched = np.array([[1, 0], [0, np.cos(nod)], [0, np.sin(nod)]])
        turned = np.array(
            [[self._cos, 0, -self.sin], [0, 1, 0], [self.sin, 0, self._cos]]
        )
        tilted = np.array(
            [[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]
        )
        self._heights, width, front, back, middle = rows.T
        depth = front - middle
        reach = self._reach(width, depth)
        edge = width * (width * self._cos / reach) ** (_DUAL - 1)
        low = -edge if self.sin < 0 else -width
        high = edge if self.sin > 0 else width
        # The last two tell how far the visible face goes to left and right.
        self._columns = (width, back, middle, depth, low, high)
        self._flat = pitched[:2] @ tilted * unit
        self._solid = turned @ pitched @ tilted * unit
        self._centre = np.array(centre)

    def sections(self, heights: ArrayLike) -> np.ndarray:
        """Return `self._columns` at some heights."""
        return np.stack(
            [np.interp(heights, self._heights, each) for each in self._columns]
        )

    def lift(self, face: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
        """Put points of the flat face, `(n, 2)`, on the head, `(n, 3)`.

        Points beyond the visible face move to its edge. `offset` is how far
        points stand out to the front.
        """
        width, _, middle, depth, low, high = self.sections(face[:, 1])
        across = np.clip(face[:, 0], low, high)
        rest = np.maximum(1 - np.abs(across / width) ** _POWER, 0)
        front = middle + depth * rest ** (1 / _POWER) + offset
        return np.stack((across, face[:, 1], front), 1)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return pixels of points `(n, 3)`, or of turned points `(n, 2)`."""
        matrix = self._solid if points.shape[1] == 3 else self._flat
        return points @ matrix + self._centre

    def outline(
        self, bottom: float, grow: float = 0.0, face: float = np.inf
    ) -> np.ndarray:
        """Return the turned head's outline, down on the right and up again.

        It is `grow` off the head, less at the neck. Below the height `face`
        only the back of the head counts.
        """
        heights = -1.1 + (bottom + 1.1) * _DENSE
        width, back, middle, depth, _, _ = self.sections(heights)
        off = grow * np.clip(1 - 2.2 * heights, -0.5, 1)
        lifted = heights - off * np.clip(-heights, -0.1, 1)
        sides = []
        for sign in (1, -1):
            if sign * self.sin < 0:
                reach = self._reach(width, middle - back)
            else:
                reach = self._reach(width, depth)
                reach = np.where(heights > face, width * self._cos, reach)
            across = sign * (reach + off) + middle * self.sin
            sides.append(np.stack((across, lifted), 1))
        return np.concatenate((sides[0], sides[1][::-1]))

    def _reach(self, width: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return how far sections go sideways when the head is turned."""
        across = np.abs(width * self._cos) ** _DUAL
        return (across + np.abs(depth * self.sin) ** _DUAL) ** (1 / _DUAL)
