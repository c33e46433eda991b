"""Decode the images of a data set once, and keep them in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kerafer.console import console, track
from kerafer.datasets.cache import cache_folder, require_space
from kerafer.datasets.config import DataConfig
from kerafer.datasets.cores import available_cores, map_in_threads, threads_for
from kerafer.datasets.dataset import Dataset
from kerafer.faces import Box, make_detector
from kerafer.faces.crops import MARGIN, crop
from kerafer.images import UnreadableImageError, find_flaw, fit, is_blank

# Counts up when decoding, cropping or resizing changes what it returns.
_VERSION = 2
# OpenCV uses several cores itself; further threads decode meanwhile.
_MAX_SEARCH_THREADS = 4

# Path, size in bytes and time of change in nanoseconds.
Stamp = tuple[str, int, int]


def decode_as(
    dataset: Dataset, config: DataConfig, margin: float | None = None
) -> Dataset:
    """Decode as the settings say. Default margin: theirs, else 0.2."""
    if margin is None:
        margin = MARGIN if config.face_margin is None else config.face_margin
    return decode(
        dataset,
        config.image_size,
        config.channels,
        config.face_crop,
        margin,
        config.without_face,
    )


def decode(
    dataset: Dataset,
    image_size: int,
    channels: int = 3,
    face_crop: str = "none",
    margin: float = MARGIN,
    without_face: str = "keep",
) -> Dataset:
    """Decode, crop and resize all images, and skip those that are unusable.

    Images and the boxes of faces are kept in the cache until a file changes.
    Images are mapped into memory, not read into it. A set that has neither
    files nor a fingerprint is decoded into memory.

    Args:
        dataset: The images.
        image_size: Height and width of the result in pixels.
        channels: 3 for RGB, 1 for gray.
        face_crop: `"none"` keeps images whole. A detector's name, as for
            `kerafer.faces.make_detector`, crops each to its largest face.
        margin: As for `kerafer.faces.crop`. Default: 0.2.
        without_face: Whether images without a face are kept whole (`"keep"`)
            or skipped (`"drop"`).

    Returns:
        The data set without unreadable and blank files, and with `images`:
        uint8 of shape `(images, image_size, image_size, channels)`, read-only.

    Raises:
        UserError: If no image of a class is left, or for a full disk.
    """
    how: tuple = (image_size, channels, face_crop)
    if face_crop != "none":
        how += (margin, without_face)
    if dataset.decoding == how:
        return dataset
    if _is_kept(dataset):
        folder, index = _cached(dataset, how)
        flat = np.memmap(folder / "images.bin", np.uint8, "r")
    else:
        stream = io.BytesIO()
        index = _write(dataset, how, stream)
        flat = np.frombuffer(stream.getvalue(), np.uint8)
    if face_crop != "none":
        console.print(
            f"Faces were found on {index['faces']:,} of {len(dataset):,} "
            "images; the others are "
            f"{'skipped' if without_face == 'drop' else 'kept whole'}."
        )
    images = flat.reshape(-1, image_size, image_size, channels)
    return dataclasses.replace(
        dataset.skip(index["reasons"]), images=images, decoding=how
    )


def find_flaws(dataset: Dataset) -> list[str | None]:
    """Decode every file, and return what is wrong with it, or `None`."""
    if dataset.read is not None:
        return [None] * len(dataset)
    files = [dataset.file_of(path) for path in dataset.manifest["path"]]
    flaws = map_in_threads(find_flaw, files, threads_for(files))
    return list(track(flaws, "Checking images", len(files)))


def _cached(dataset: Dataset, how: tuple) -> tuple[Path, dict]:
    """Return the folder of the decoded images, which is made if missing."""
    stamps = [_stamp(dataset, path) for path in dataset.manifest["path"]]
    key = _key(dataset, *how, stamps)
    folder = cache_folder("decoded") / f"{dataset.name}-{how[0]}-{key}"
    if not (folder / "index.json").is_file():
        require_space(folder.parent, len(dataset) * how[0] * how[0] * how[1])
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            whole = Path(draft, folder.name)
            whole.mkdir()
            with (whole / "images.bin").open("wb") as stream:
                index = _write(dataset, how, stream)
            # Raises, and keeps nothing, if a class has no image left.
            dataset.skip(index["reasons"])
            (whole / "index.json").write_text(json.dumps(index))
            # Another process may have decoded the same meanwhile.
            with contextlib.suppress(OSError):
                whole.rename(folder)
    return folder, json.loads((folder / "index.json").read_bytes())


def _write(dataset: Dataset, how: tuple, stream: BinaryIO) -> dict:
    """Write the usable images, and return why others were skipped."""
    size, channels, face_crop, *cropping = how
    margin, without_face = cropping or (MARGIN, "keep")
    faces = None if face_crop == "none" else _FaceFinder(dataset, face_crop)

    def decode_one(path: str) -> tuple[np.ndarray | None, str | None, bool]:
        try:
            image = dataset.read_image(path)
        except UnreadableImageError as error:
            return None, error.reason, False
        box = faces.find(path, image) if faces else None
        if faces and box is None and without_face == "drop":
            return None, "no face was found", False
        cropped = image if box is None else crop(image, box, margin)
        small = fit(cropped, (size, size, channels))
        # The small one is compared first: it takes a fraction of the time.
        if dataset.read is None and is_blank(small) and is_blank(image):
            return None, "it is blank", box is not None
        return small, None, box is not None

    paths = dataset.manifest["path"].tolist()
    if faces:
        # TensorFlow's MTCNN uses all cores, and memory, by itself.
        limit = 1 if face_crop == "mtcnn" else _MAX_SEARCH_THREADS
        threads = min(available_cores(), limit)
    else:
        threads = threads_for([dataset.file_of(path) for path in paths])
    reasons, found = [], 0
    done = map_in_threads(decode_one, paths, threads)
    for image, reason, has_face in track(done, "Decoding images", len(paths)):
        reasons.append(reason)
        found += has_face
        if image is not None:
            stream.write(image.tobytes())
    return {"reasons": reasons, "faces": found}


class _FaceFinder:
    """Find the largest face of images, and keep its box in the cache.

    Each line of the file is one image, so an interrupted search continues.
    """

    def __init__(self, dataset: Dataset, detector: str) -> None:
        self.dataset = dataset
        self.name = detector
        self.known: dict[Stamp, Box | None] = {}
        # A detector is for one thread.
        self.own = threading.local()
        self.file: Path | None = None
        if _is_kept(dataset):
            key = _key(dataset, detector)
            self.file = cache_folder("faces") / f"{dataset.name}-{key}.jsonl"
            self.file.touch()
            for line in self.file.read_bytes().splitlines():
                # The last line may be cut off.
                with contextlib.suppress(ValueError, TypeError):
                    *stamp, box = json.loads(line)
                    self.known[tuple(stamp)] = box and tuple(box)

    def find(self, path: str, image: np.ndarray) -> Box | None:
        stamp = _stamp(self.dataset, path)
        if stamp in self.known:
            return self.known[stamp]
        if not hasattr(self.own, "detector"):
            self.own.detector = make_detector(self.name)
        faces = self.own.detector.detect(image)
        # A thumbnail that is taken whole has none that was found.
        box = faces[0].box if faces and faces[0].score > 0 else None
        if self.file:
            with self.file.open("ab") as stream:
                stream.write(f"\n{json.dumps([*stamp, box])}\n".encode())
        return box


def _is_kept(dataset: Dataset) -> bool:
    return dataset.read is None or bool(dataset.fingerprint)


def _key(dataset: Dataset, *facts: object) -> str:
    root = str(dataset.root and dataset.root.resolve())
    text = json.dumps([_VERSION, root, dataset.fingerprint, *facts])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamp(dataset: Dataset, path: str) -> Stamp:
    if dataset.read is not None:
        return path, 0, 0
    try:
        status = os.stat(dataset.file_of(path))
    except (OSError, ValueError):
        return path, -1, -1
    return path, status.st_size, status.st_mtime_ns
