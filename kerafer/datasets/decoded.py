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
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kerafer.console import console, track
from kerafer.datasets.cache import cache_folder, require_space
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


def decode(
    dataset: Dataset,
    image_size: int,
    channels: int = 3,
    face_crop: str = "none",
    margin: float = MARGIN,
    without_face: str = "keep",
) -> Dataset:
    """Decode, crop and resize all images, and skip those that are unusable.

    Images and the faces that were found are kept in the cache until a file
    changes. Images are mapped into memory, not read into it. A set that has
    neither files nor a fingerprint is decoded into memory.

    Args:
        dataset: The images.
        image_size: Height and width of the result in pixels.
        channels: 3 for RGB, 1 for gray.
        face_crop: `"none"` keeps images whole; else what
            `kerafer.faces.make_detector` takes: each is cropped to its
            largest face.
        margin: Around a face, as for `kerafer.faces.crop`. Default: 0.2.
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
    shape = (-1, image_size, image_size, channels)
    if dataset.read is not None and not dataset.fingerprint:
        stream = io.BytesIO()
        index = _Decoder(dataset, how).write(stream)
        flat = np.frombuffer(stream.getvalue(), np.uint8)
    else:
        folder, index = _cached(dataset, how)
        flat = np.memmap(folder / "images.bin", np.uint8, "r")
    if face_crop != "none":
        console.print(
            f"Faces were found on {index['faces']:,} of {len(dataset):,} "
            "images; the others are "
            f"{'skipped' if without_face == 'drop' else 'kept whole'}."
        )
    return dataclasses.replace(
        dataset.skip(index["reasons"]), images=flat.reshape(shape), decoding=how
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
    paths = dataset.manifest["path"].tolist()
    stamps = [_stamp(dataset, path) for path in paths]
    key = _key(dataset, *how, stamps)
    folder = cache_folder("decoded") / f"{dataset.name}-{how[0]}-{key}"
    if not (folder / "index.json").is_file():
        size = len(dataset) * how[0] * how[0] * how[1]
        require_space(folder.parent, size)
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            whole = Path(draft, folder.name)
            whole.mkdir()
            with (whole / "images.bin").open("wb") as stream:
                index = _Decoder(dataset, how).write(stream)
            # Of no image at all nothing is to be mapped, or kept.
            dataset.skip(index["reasons"])
            (whole / "index.json").write_text(json.dumps(index))
            # Another process may have decoded the same meanwhile.
            with contextlib.suppress(OSError):
                whole.rename(folder)
    return folder, json.loads((folder / "index.json").read_bytes())


class _Decoder:
    """Decodes, crops and resizes the images of a data set in order."""

    def __init__(self, dataset: Dataset, how: tuple) -> None:
        self.dataset = dataset
        self.shape = (how[0], how[0], how[1])
        self.face_crop: str = how[2]
        self.margin: float = how[3] if how[3:] else MARGIN
        self.drop = how[4:] == ("drop",)
        self.paths = dataset.manifest["path"].tolist()
        self.faces: dict[Stamp, Box | None] = {}
        # A detector is for one thread.
        self.own = threading.local()

    def write(self, stream: BinaryIO) -> dict:
        """Write the usable images, and return why others were skipped."""
        files = [self.dataset.file_of(path) for path in self.paths]
        threads = threads_for(files)
        if self.face_crop != "none":
            # TensorFlow's MTCNN uses all cores, and memory, by itself.
            limit = 1 if self.face_crop == "mtcnn" else _MAX_SEARCH_THREADS
            threads = min(available_cores(), limit)
        reasons: list[str | None] = []
        found = 0
        with self._keeping_faces() as keep:
            done = map_in_threads(self._one, self.paths, threads)
            shown = track(done, "Decoding images", len(self.paths))
            for path, (image, reason, box) in zip(
                self.paths, shown, strict=True
            ):
                keep(path, box)
                found += box is not None
                reasons.append(reason)
                if image is not None:
                    stream.write(image.tobytes())
        return {"reasons": reasons, "faces": found}

    def _one(
        self, path: str
    ) -> tuple[np.ndarray | None, str | None, Box | None]:
        """Return an image or the reason to skip it, and its face."""
        try:
            image = self.dataset.read_image(path)
        except UnreadableImageError as error:
            return None, error.reason, None
        box = None
        if self.face_crop != "none":
            box = self._find_face(path, image)
            if box is None and self.drop:
                return None, "no face was found", None
        cropped = image if box is None else crop(image, box, self.margin)
        small = fit(cropped, self.shape)
        # The small one is compared first: it takes a fraction of the time.
        if self.dataset.read is None and is_blank(small) and is_blank(image):
            return None, "it is blank", box
        return small, None, box

    def _find_face(self, path: str, image: np.ndarray) -> Box | None:
        stamp = _stamp(self.dataset, path)
        if stamp in self.faces:
            return self.faces[stamp]
        if not hasattr(self.own, "detector"):
            self.own.detector = make_detector(self.face_crop)
        faces = self.own.detector.detect(image)
        # A thumbnail that is taken whole has none that was found.
        return faces[0].box if faces and faces[0].score > 0 else None

    @contextlib.contextmanager
    def _keeping_faces(self) -> Iterator:
        """Read the faces that are known, and keep those that are found.

        A line is one image. An interrupted search goes on where it was; a line
        that was cut off is skipped.
        """
        dataset = self.dataset
        if self.face_crop == "none" or (
            dataset.read and not dataset.fingerprint
        ):
            yield lambda path, box: None
            return
        key = _key(dataset, self.face_crop)
        file = cache_folder("faces") / f"{dataset.name}-{key}.jsonl"
        # Unbuffered: a line is one write, which no other process divides.
        with open(file, "ab+", buffering=0) as stream:
            stream.seek(0)
            for line in stream.read().splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    *stamp, box = json.loads(line)
                    self.faces[tuple(stamp)] = box and tuple(box)
            stream.write(b"\n")

            def keep(path: str, box: Box | None) -> None:
                stamp = _stamp(dataset, path)
                if stamp not in self.faces:
                    stream.write(f"{json.dumps([*stamp, box])}\n".encode())

            yield keep


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
