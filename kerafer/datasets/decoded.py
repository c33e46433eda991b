"""Images decoded once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np

from kerafer.console import track
from kerafer.datasets.cache import cache_folder, make_room
from kerafer.datasets.cores import map_in_threads
from kerafer.datasets.dataset import Dataset
from kerafer.faces.crops import MARGIN, Box, crop
from kerafer.files import check_space
from kerafer.images import fit

# Counts up when decoding, cropping or resizing changes what it returns.
_VERSION = 1


def decode(
    dataset: Dataset,
    image_size: int,
    channels: int = 3,
    boxes: list[Box | None] | None = None,
    margin: float = MARGIN,
) -> np.ndarray:
    """Decode, crop and resize all images of a data set.

    The result is kept in the user's cache folder and mapped into memory, not
    read into it; a second call with the same files returns at once. A data set
    that has neither files nor a fingerprint is decoded into memory.

    Args:
        dataset: The images.
        image_size: Height and width of the result, pixels.
        channels: 3 for RGB, 1 for gray. Defaults to 3.
        boxes: The face of each image, or `None` to keep it whole. Defaults
            to whole images.
        margin: Around each face, as for `kerafer.faces.crop`. Defaults to 0.2.

    Returns:
        uint8 array of shape `(images, image_size, image_size, channels)`,
        not writeable.

    Raises:
        UnreadableImageError: For a file that is no image.
        UserError: If the disk has no room for the result.
    """
    shape = (len(dataset), image_size, image_size, channels)
    key = _key(dataset, shape, boxes, margin)
    if key is None:
        images = np.empty(shape, np.uint8)
        _fill(images, dataset, boxes, margin)
        images.flags.writeable = False
        return images
    file = cache_folder("decoded") / f"{dataset.name}-{image_size}-{key}.npy"
    # Another process may make room, or write the same, at any time.
    try:
        os.utime(file)
    except FileNotFoundError:
        _write(file, shape, dataset, boxes, margin)
    return np.load(file, mmap_mode="r", allow_pickle=False)


def _write(
    file: Path,
    shape: tuple[int, ...],
    dataset: Dataset,
    boxes: list[Box | None] | None,
    margin: float,
) -> None:
    make_room(file.parent, int(np.prod(shape)))
    beside = file.with_name(f"{file.name}.{threading.get_native_id()}.part")
    try:
        # Writing to mapped memory crashes on a full disk.
        check_space(file.parent, int(np.prod(shape)))
        images = np.lib.format.open_memmap(beside, "w+", np.uint8, shape)
        _fill(images, dataset, boxes, margin)
        images.flush()
        del images
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def _fill(
    images: np.ndarray,
    dataset: Dataset,
    boxes: list[Box | None] | None,
    margin: float,
) -> None:
    paths = dataset.manifest["path"].tolist()

    def one(row: int) -> None:
        image = dataset.read_image(paths[row])
        if boxes is not None and (box := boxes[row]) is not None:
            image = crop(image, box, margin)
        images[row] = fit(image, images.shape[1:])

    done = map_in_threads(one, range(len(paths)), dataset.threads)
    for _ in track(done, "Decoding images", len(paths)):
        pass


def _key(
    dataset: Dataset,
    shape: tuple[int, ...],
    boxes: list[Box | None] | None,
    margin: float,
) -> str | None:
    paths = dataset.manifest["path"].tolist()
    if dataset.read is not None and not dataset.fingerprint:
        return None
    facts = [_VERSION, dataset.fingerprint, shape, boxes, paths]
    # What was kept before there was a choice stays of use.
    if boxes is not None and margin != MARGIN:
        facts.append(margin)
    if dataset.read is None:
        for path in paths:
            status = dataset.file_of(path).stat()
            facts.append((status.st_size, status.st_mtime_ns))
        facts.append(str(dataset.file_of("").resolve()))
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return digest[:16]
