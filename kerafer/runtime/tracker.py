"""Faces through a video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from kerafer.errors import UserError
from kerafer.faces.detector import Box, Face, FaceDetector
from kerafer.images import as_image
from kerafer.runtime.results import Prediction

if TYPE_CHECKING:
    from kerafer.runtime.recognizer import Recognizer

_SAME_FACE = 0.3
_LONGEST_SIDE = 480
_POINTS = 7


class Smoothing:
    """A mean over time in which what is older counts less.

    With `weight = 1 - 2^(-1 / half_life)`, every call moves the mean by
    `weight` of the way to what came. The first call is returned as it is.

    Args:
        half_life: After so many calls a value counts half. 0 smooths nothing.
    """

    def __init__(self, half_life: float) -> None:
        if not half_life >= 0:
            raise UserError(
                f"half_life must be 0 or more frames. Received: {half_life}."
            )
        self._weight = 1 - 2 ** (-1 / half_life) if half_life else 1.0
        self._mean: np.ndarray | None = None

    def update(self, values: np.ndarray) -> np.ndarray:
        """Take in new values and return the mean, of the same shape."""
        if self._mean is None:
            self._mean = np.array(values, np.float32)
        else:
            self._mean += self._weight * (values - self._mean)
        return self._mean.copy()


class TrackedFace(NamedTuple):
    """A face on one frame.

    Args:
        track: A number that stays with a face from frame to frame.
        box: x, y, width and height, pixels.
        label: The class of the highest probability.
        probabilities: Of every class, smoothed over time.
        score: Of the last detection.
    """

    track: int
    box: Box
    label: str
    probabilities: dict[str, float]
    score: float


class FaceTracker:
    """Tell the expressions of faces frame by frame.

    Faces are detected on every n-th frame. Between, their boxes go along with
    the optical flow inside them. A new detection belongs to the track whose
    box it covers most; a track that is missed twice, or whose image is gone,
    as after a cut, ends.

    Args:
        recognizer: Its model.
        detector: Finds the faces.
        every: Detect on every n-th frame. Defaults to 5.
        half_life: Of the smoothing, frames. Defaults to 5; 0 smooths nothing.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        detector: FaceDetector,
        every: int = 5,
        half_life: float = 5,
    ) -> None:
        if every < 1:
            raise UserError(f"every must be at least 1. Received: {every}.")
        Smoothing(half_life)
        self._recognizer = recognizer
        self._detector = detector
        self._every = every
        self._half_life = half_life
        self._tracks: list[_Track] = []
        self._frames = 0
        self._started = 0
        self._before: np.ndarray | None = None
        self._shape: tuple[int, ...] = ()

    def update(
        self, frame: np.ndarray, *, bgr: bool = False
    ) -> list[TrackedFace]:
        """Take in the next frame.

        Args:
            frame: uint8 RGB of shape `(height, width, 3)`. After one of
                another size no face is known any more.
            bgr: Whether it is in the order B, G, R, as OpenCV's cameras and
                videos are. Defaults to `False`.

        Returns:
            The faces on it, the longest known first.

        Raises:
            UserError: For what is no image.
        """
        frame = as_image(frame, bgr)
        gray, scale = _gray(frame)
        if frame.shape != self._shape:
            self._tracks, self._before, self._frames = [], None, 0
            self._shape = frame.shape
        if self._before is not None:
            self._tracks = [
                track
                for track in self._tracks
                if track.follow(self._before, gray, scale)
            ]
        if self._frames % self._every == 0:
            self._join(self._detector.detect(frame))
        self._before = gray
        self._frames += 1
        boxes = [track.pixels for track in self._tracks]
        rows = self._recognizer.crop_probabilities(frame, boxes)
        return [
            TrackedFace(
                track.number,
                box,
                *Prediction.of(
                    self._recognizer.labels,
                    track.smoothing.update(row),
                    self._recognizer.min_scores,
                ),
                track.score,
            )
            for track, box, row in zip(self._tracks, boxes, rows, strict=True)
        ]

    def _join(self, faces: list[Face]) -> None:
        """Give every detection to the track that it fits best, or a new one."""
        pairs = sorted(
            (
                (-_overlap(track.box, face.box), i, j)
                for i, track in enumerate(self._tracks)
                for j, face in enumerate(faces)
            ),
        )
        tracks, taken = set(), set()
        for overlap, i, j in pairs:
            if -overlap >= _SAME_FACE and i not in tracks and j not in taken:
                self._tracks[i].found(faces[j])
                tracks.add(i)
                taken.add(j)
        for i, track in enumerate(self._tracks):
            track.missed += i not in tracks
        self._tracks = [t for t in self._tracks if t.missed < 2]
        for j, face in enumerate(faces):
            if j not in taken:
                self._started += 1
                smoothing = Smoothing(self._half_life)
                self._tracks.append(_Track(self._started, face, smoothing))


class _Track:
    def __init__(self, number: int, face: Face, smoothing: Smoothing) -> None:
        self.number = number
        self.smoothing = smoothing
        self.found(face)

    def found(self, face: Face) -> None:
        self.box: np.ndarray = np.array(face.box, np.float32)
        self.score = face.score
        self.missed = 0

    @property
    def pixels(self) -> Box:
        left, top, width, height = map(int, self.box.round())
        return left, top, width, height

    def follow(self, before: np.ndarray, now: np.ndarray, scale: float) -> bool:
        """Move the box with its image; whether that was still there."""
        left, top, width, height = self.box * scale
        steps = np.linspace(0.15, 0.85, _POINTS)
        across, down = np.meshgrid(left + steps * width, top + steps * height)
        points = np.stack([across, down], -1).reshape(-1, 1, 2)
        points = points.astype(np.float32)
        flow: Any = cv2.calcOpticalFlowPyrLK
        moved, known, _ = flow(before, now, points, None)
        back, again, _ = flow(now, before, moved, None)
        # A point that does not come back to where it was has slipped.
        slip = np.abs(points - back).max(axis=(1, 2))
        good = (known & again).ravel().astype(bool) & (slip < 1)
        if good.mean() < 0.3:
            return False
        old, new = points[good, 0], moved[good, 0]
        middle, moved_to = np.median(old, axis=0), np.median(new, axis=0)
        spread = np.median(np.abs(old - middle).sum(axis=1))
        grown = np.median(np.abs(new - moved_to).sum(axis=1)) / max(spread, 1)
        grown = float(np.clip(grown, 0.9, 1.1)) if spread >= 1 else 1.0
        centre = np.array([left + width / 2, top + height / 2])
        centre = moved_to + (centre - middle) * grown
        size = np.array([width, height]) * grown
        self.box = np.concatenate([centre - size / 2, size]) / scale
        inside = (centre >= 0) & (centre < now.shape[::-1])
        return bool(inside.all())


def _gray(frame: np.ndarray) -> tuple[np.ndarray, float]:
    """A small gray copy of a frame and its scale."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA), scale


def _overlap(one: np.ndarray, other: Box) -> float:
    """Intersection over union."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    common = max(0, right - left) * max(0, bottom - top)
    union = one[2] * one[3] + other[2] * other[3] - common
    return float(common / union) if union > 0 else 0.0
