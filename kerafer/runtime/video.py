"""Read videos, streams and cameras frame by frame, and write videos."""

from __future__ import annotations

import codecs
import math
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import cv2
import numpy as np

from kerafer.errors import UserError
from kerafer.files import native_path
from kerafer.images import resize

STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp")

_USUAL_RATE = 25.0
# The copy's rate: a frame of a slower video is repeated.
_LOWEST_RATE = 0.1
_HIGHEST_RATE = 1000.0
_LONGEST_SIDE = 4096
# In one gap; what a container claims is no reason to fill the disk.
_MOST_REPEATS = 10_000
# OpenCV takes 100 and more for a backend and a number in one.
_CAMERAS = 100
_TIMEOUT = 10
_SNIFFED = 4096
_LONGEST_GAP = 3600.0
_TEXTS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_stream(source: object) -> bool:
    """Whether something is the address of a stream, such as `rtsp://...`.

    A file with that name comes first, and a `Path` is always a file.
    """
    if not isinstance(source, str) or os.path.lexists(source):
        return False
    scheme = re.match(r"([a-z]+)://", source, re.IGNORECASE)
    return scheme is not None and scheme[1].lower() in STREAMS


def without_secrets(address: str) -> str:
    """The address of a stream less its password and its query."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def is_video(file: Path) -> bool:
    """Whether OpenCV gets two frames out of a file, whatever its name.

    One frame alone is a still of a kind that is not taken.
    """
    if not _is_binary(file):
        return False
    capture = _open_file(file)
    try:
        return bool(capture.grab() and capture.grab())
    finally:
        capture.release()


class VideoReader:
    """Yield the frames of a video without keeping them.

    The time of a frame is the container's, so a variable rate is kept; where
    it does not increase, is no number or leaps over an hour, a frame follows
    the one before at the video's rate. Cameras, and streams that do not say
    how long they are, have the clock's. Frames whose pixels are not square are
    stretched until they are.

    Args:
        source: A file, the address of a stream (`rtsp://`, `rtmp://`,
            `http://`, `https://` or `udp://`), or the number of a camera,
            0 to 99.

    Attributes:
        is_live: Whether the source is a camera or a stream.
        rate: Frames per second on average; 25 where the video does not say.
        frames: How many there are at this rate, or `None` where that is not
            known. `frames / rate` is how long the video is.

    Raises:
        UserError: If OpenCV can't open it or there is no frame in it.

    Example:

        with VideoReader("party.mp4") as video:
            for seconds, frame in video:
                ...
    """

    def __init__(self, source: Path | str | int) -> None:
        self._capture = _open(source)
        read, self._first = self._capture.read()
        if not read:
            self._capture.release()
            raise UserError(_refusal(source))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        told = 0 < rate <= _HIGHEST_RATE
        self.rate = max(rate, _LOWEST_RATE) if told else _USUAL_RATE
        self.frames: int | None = None
        if not isinstance(source, int) and 0 < frames < math.inf:
            length = frames / (rate if told else _USUAL_RATE)
            self.frames = max(1, round(length * self.rate))
        self.is_live = isinstance(source, int) or is_stream(source)
        self._has_clock = not isinstance(source, int) and not (
            is_stream(source) and self.frames is None
        )
        self._size = self._square_size()

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
        read, frame = True, self._first
        shape, start = frame.shape, time.monotonic()
        seconds, shift = -1 / self.rate, 0.0
        # A stream whose size changes is over for whoever draws or tracks.
        while read and frame.shape == shape:
            now = time.monotonic() - start
            if self._has_clock:
                now = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 + shift
            following = seconds + 1 / self.rate
            if abs(now - following) > _LONGEST_GAP:
                # The container's clock was set anew; it goes on from here.
                shift += following - now
                now = following
            seconds = max(now if seconds < now else following, 0.0)
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            yield seconds, resize(rgb, self._size)
            read, frame = self._capture.read()

    def _square_size(self) -> tuple[int, int]:
        """Height and width where the longer side of a pixel sets both."""
        height, width = self._first.shape[:2]
        across = self._capture.get(cv2.CAP_PROP_SAR_NUM)
        down = self._capture.get(cv2.CAP_PROP_SAR_DEN)
        if not (0 < across < math.inf and 0 < down < math.inf):
            return height, width
        # OpenCV has turned the frame, but not what it tells of its pixels.
        turned = self._capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
        if turned and self._capture.get(cv2.CAP_PROP_ORIENTATION_AUTO):
            across, down = down, across
        least = min(across, down)
        sides = height * (down / least), width * (across / least)
        bound = max(_LONGEST_SIDE, height, width)
        shrunk = min(1.0, bound / max(sides))
        return tuple(max(1, round(side * shrunk)) for side in sides)


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


def _open(source: Path | str | int) -> cv2.VideoCapture:
    if isinstance(source, int):
        if not 0 <= source < _CAMERAS:
            raise UserError(
                f"The number of a camera is 0 to {_CAMERAS - 1}, and the "
                f"first is 0. Received: {source}."
            )
        return cv2.VideoCapture(source)
    if is_stream(source):
        milliseconds = _TIMEOUT * 1000
        return cv2.VideoCapture(
            source,
            cv2.CAP_FFMPEG,
            [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds),
            ],
        )
    if not _is_binary(source):
        return cv2.VideoCapture()
    return _open_file(source)


def _open_file(file: Path | str) -> cv2.VideoCapture:
    # OpenCV's other readers would take a number in a name for a pattern.
    with native_path(file) as path:
        return cv2.VideoCapture(path, cv2.CAP_FFMPEG)


def _refusal(source: Path | str | int) -> str:
    if isinstance(source, int):
        return (
            f"OpenCV must be able to open the camera. Number {source} is "
            "not there, is in use, or gives no image."
        )
    if is_stream(source):
        return (
            f"A stream gives an image within {_TIMEOUT} seconds. Received "
            f"none from {without_secrets(str(source))}; look whether the "
            "address is right and can be reached."
        )
    return (
        "A video is a file that OpenCV can decode. It gets no frame out of "
        f"{source}."
    )


def _is_binary(file: Path | str) -> bool:
    """Whether a file is no text: FFmpeg draws some, and others are lists of
    further files that it would open.
    """
    try:
        with open(file, "rb") as stream:
            start = stream.read(_SNIFFED)
    except OSError:
        return False
    if start.startswith(b"YUV4MPEG2"):
        return True
    return b"\0" in start and not start.startswith(_TEXTS)
