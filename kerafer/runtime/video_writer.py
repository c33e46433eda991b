"""A video file, frame by frame."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from kerafer.errors import UserError
from kerafer.files import native_path

# In one gap; what a container claims is no reason to fill the disk.
_MOST_REPEATS = 10_000


class VideoWriter:
    """Write frames to an MP4 file as they come.

    Closing it makes the file whole, also after fewer frames than planned.

    Args:
        file: The file, `.mp4`; its folder is made where it is missing.
        rate: Frames per second.

    Raises:
        UserError: If OpenCV can't write it.
    """

    def __init__(self, file: Path, rate: float) -> None:
        self._file = file
        self._rate = rate
        self._written = 0
        self._last: np.ndarray | None = None
        self._video: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray, seconds: float) -> None:
        """Add a frame.

        Args:
            frame: uint8 RGB of shape `(height, width, 3)`, all of one size.
            seconds: When it is to be seen. The file has one rate: until a
                frame that comes late the one before is repeated, and one that
                would be seen more than a frame late is only seen in a gap that
                follows, so the copy of a slow camera or of a video with a
                variable rate keeps the time. A gap is filled with at most
                10,000 frames.
        """
        if self._video is None:
            self._video = self._open(frame.shape[1::-1])
        place = round(seconds * self._rate)
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        before = bgr if self._last is None else self._last
        self._last = bgr
        if place < self._written - 1:
            return
        place = max(place, self._written)
        for _ in range(min(place - self._written, _MOST_REPEATS)):
            self._video.write(before)
        self._video.write(bgr)
        self._written = place + 1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._video is not None:
            self._video.release()

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        with native_path(self._file) as path:
            video = cv2.VideoWriter(path, code, self._rate, size)
        if not video.isOpened():
            raise UserError(
                "OpenCV must be able to write MPEG-4 video. It can't to "
                f"{self._file}."
            )
        return video
