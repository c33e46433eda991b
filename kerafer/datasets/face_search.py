"""Where the face is, found once and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from kerafer.console import console, track
from kerafer.datasets.cache import cache_folder
from kerafer.datasets.cores import available_cores, map_in_threads
from kerafer.datasets.dataset import Dataset
from kerafer.faces import Box, make_detector
from kerafer.faces.detectors import DEFAULT

# OpenCV uses several cores by itself; further threads decode meanwhile.
_MOST_THREADS = 4
# Counts up when what is found on an image changes.
_VERSION = 2

# Path, size in bytes and time of change in nanoseconds.
Stamp = tuple[str, int, int]


def find_faces(dataset: Dataset, detector: str = DEFAULT) -> list[Box | None]:
    """Find the face on every image, as prediction does later.

    What was found is written down image by image in the user's cache folder,
    so an interrupted search goes on where it was, and a second one returns at
    once. A file that has changed is searched again, the others are not. How
    many images a second were searched is said at the end.

    Args:
        dataset: The images.
        detector: What `kerafer.faces.make_detector` takes. Defaults to the
            one with which prediction finds faces.

    Returns:
        One box an image, the largest face's; `None` where none was found.
        What is found on a set that has neither files nor a fingerprint is not
        kept.

    Raises:
        UnreadableImageError: For a file that is no image.
        UserError: For another detector.
    """
    paths = dataset.manifest["path"].tolist()
    if dataset.read is not None and not dataset.fingerprint:
        return list(_search(dataset, paths, detector))
    stamps = {path: _stamp(dataset, path) for path in paths}
    found = _FoundFaces(_file(dataset, detector))
    missing = [path for path, stamp in stamps.items() if stamp not in found]
    if missing:
        began = time.perf_counter()
        boxes = _search(dataset, missing, detector)
        with found.adding(), contextlib.closing(boxes):
            shown = track(boxes, "Finding faces", len(missing))
            for path, box in zip(missing, shown, strict=True):
                found.add(stamps[path], box)
        seconds = time.perf_counter() - began
        console.print(
            f"Faces were searched on {len(missing):,} images in "
            f"{seconds:.1f} s, {len(missing) / seconds:.1f} a second."
        )
    return [found[stamps[path]] for path in paths]


def _search(
    dataset: Dataset, paths: list[str], detector: str
) -> Generator[Box | None, None, None]:
    """The largest face of every image, in order."""
    # A detector is for one thread.
    own = threading.local()

    def largest(path: str) -> Box | None:
        if not hasattr(own, "detector"):
            own.detector = make_detector(detector)
        faces = own.detector.detect(dataset.read_image(path))
        # A thumbnail that is taken whole has none that was found.
        return faces[0].box if faces and faces[0].score > 0 else None

    # TensorFlow's MTCNN uses all cores, and memory, by itself.
    one = detector == "mtcnn"
    threads = 1 if one else min(available_cores(), _MOST_THREADS)
    yield from map_in_threads(largest, paths, threads)


def _file(dataset: Dataset, detector: str) -> Path:
    root = str(dataset.root and dataset.root.resolve())
    facts = [root, dataset.fingerprint, detector, _VERSION]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return cache_folder("faces") / f"{dataset.name}-{key}.jsonl"


def _stamp(dataset: Dataset, path: str) -> Stamp:
    if dataset.read is not None:
        return path, 0, 0
    status = dataset.file_of(path).stat()
    return path, status.st_size, status.st_mtime_ns


class _FoundFaces:
    """The boxes that are known, in a file that only grows.

    A line is one image: path, size, time of change and box, or null where no
    face was found, as JSON. A line that a kill has cut off is no JSON and does
    not count. Processes that search at the same time may write to one file.

    Args:
        file: It need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._boxes: dict[Stamp, Box | None] = {}
        for line in self._text().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                path, size, changed, box = json.loads(line)
                self._boxes[path, size, changed] = box and tuple(box)

    def __contains__(self, stamp: Stamp) -> bool:
        return stamp in self._boxes

    def __getitem__(self, stamp: Stamp) -> Box | None:
        return self._boxes[stamp]

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Open the file for `add`."""
        text = self._text()
        torn = bool(text) and not text.endswith("\n")
        # Unbuffered: a line is one write, which no other process divides.
        with open(self._file, "ab", buffering=0) as self._stream:
            if torn:
                self._stream.write(b"\n")
            yield

    def add(self, stamp: Stamp, box: Box | None) -> None:
        """Note what was found on an image, in memory and on disk."""
        self._stream.write(f"{json.dumps([*stamp, box])}\n".encode())
        self._boxes[stamp] = box

    def _text(self) -> str:
        if not self._file.exists():
            return ""
        return self._file.read_bytes().decode("utf-8", errors="replace")
