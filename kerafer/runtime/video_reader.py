"""Frames of a video or a camera, one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from kerafer.errors import UserError

_USUAL_RATE = 25.0


class VideoReader:
    """Yield the frames of a video without keeping them.

    Args:
        source: A file, or the number of a camera.

    Attributes:
        rate: Frames per second; 25 where the video does not say.
        frames: How many there are, or `None` where that is not known.

    Raises:
        UserError: If OpenCV can't open it or there is no frame in it.

    Example:

        with VideoReader("party.mp4") as video:
            for seconds, frame in video:
                ...
    """

    def __init__(self, source: Path | int) -> None:
        camera = isinstance(source, int)
        self._capture = cv2.VideoCapture(source if camera else str(source))
        read, self._first = self._capture.read()
        if not read:
            self._capture.release()
            raise UserError(
                f"OpenCV must be able to open the camera. Number {source} is "
                "not there, is in use, or gives no picture."
                if camera
                else "A video is a file that OpenCV can decode. It gets no "
                f"frame out of {source}."
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= 240 else _USUAL_RATE
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = frames if frames > 0 and not camera else None
        self._camera = camera

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds since the start, and uint8 RGB of one size."""
        read, frame, index = True, self._first, 0
        shape, start = frame.shape, time.monotonic()
        # A stream whose size changes is over for whoever draws or tracks.
        while read and frame.shape == shape:
            passed = time.monotonic() - start
            yield (
                passed if self._camera else index / self.rate,
                cv2.cvtColor(frame, cv2.COLOR_BGR2RGB),
            )
            read, frame = self._capture.read()
            index += 1
