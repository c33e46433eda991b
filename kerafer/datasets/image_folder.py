"""Read a folder of images for a model that is not a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerafer.class_names import column_order
from kerafer.console import track
from kerafer.datasets import load
from kerafer.datasets.folder import MANIFEST
from kerafer.datasets.scan import (
    class_folders,
    find_files,
    find_image_files,
    is_image_file,
    tell_skipped,
)
from kerafer.errors import ConfigError
from kerafer.images import UnreadableImageError, fit, read_image

# Of a larger folder, evenly spread images are used.
MAX_IMAGES = 5000


def folder_images(
    folder: Path,
    shape: tuple[int, int, int],
    class_names: Sequence[str] | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read images whole, uint8 of shape `(images, *shape)`.

    Args:
        folder: `<class>/*`, as the data set `folder` takes it, a .zip, or
            images without labels; at most `MAX_IMAGES` are used.
        shape: Height, width and channels of the result.
        class_names: In the model's order; the folder's classes must be among
            them. Not needed for a folder without classes.

    Returns:
        The images, and the class index of each in the model's order, or
        `None` without classes.

    Raises:
        UserError: Without images, or with classes other than the model's.
    """
    if not folder.exists():
        raise ConfigError(f"`images`: {folder} does not exist.")
    if folder.is_dir() and not _has_classes(folder):
        found = find_files(folder)
        tell_skipped([file for file in found if not is_image_file(file)])
        files = _spread([file for file in found if is_image_file(file)])
        images, reason = [], "it has none"
        for file in track(files, f"Images of {folder.name}", len(files)):
            try:
                images.append(fit(read_image(file), shape))
            except UnreadableImageError as error:
                reason = str(error)
        if not images:
            raise ConfigError(f"`images`: no images in {folder}: {reason}")
        return np.stack(images), None
    if class_names is None:
        raise ConfigError(
            "The class names of the model are unknown, in the order of its "
            "outputs. Set `class_names` a,b,c, or write them to labels.txt "
            "beside the model."
        )
    dataset = load("folder", folder)
    order = column_order(class_names, dataset.class_names, all_shown=False)
    rows = _spread(range(len(dataset)))
    paths = dataset.manifest["path"].to_numpy()[rows]
    images = [
        fit(dataset.read_image(path), shape)
        for path in track(paths, f"Images of {folder.name}", len(paths))
    ]
    return np.stack(images), order[dataset.labels[rows]]


def _has_classes(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or any(
        find_image_files(path) for _, path in class_folders(folder)
    )


def _spread(items: Sequence) -> list:
    count = min(len(items), MAX_IMAGES)
    places = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[place] for place in np.unique(places)] if items else []
