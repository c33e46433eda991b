"""Images of a folder, for an export of a model that is no run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerafer.class_names import column_order
from kerafer.console import track
from kerafer.datasets import load
from kerafer.datasets.left_out import tell_left_out
from kerafer.datasets.scan import class_folders, find_image_files, other_files
from kerafer.errors import ConfigError, UserError
from kerafer.images import UnreadableImageError, fit, read_image

# Of a larger folder a part is taken, evenly.
MOST_IMAGES = 5000


class FolderImages(NamedTuple):
    """What a folder has.

    Args:
        images: uint8, `(images, *shape)`.
        labels: Class index of each in the model's order; `None` where the
            folder has no classes.
    """

    images: np.ndarray
    labels: np.ndarray | None


def folder_images(
    folder: Path,
    shape: tuple[int, int, int],
    class_names: Sequence[str] | None,
) -> FolderImages:
    """Read images as they are, without a search for faces.

    Args:
        folder: `<class>/*`, as the data set `folder` takes it, or images
            without labels; at most `MOST_IMAGES` are taken.
        shape: Height, width and channels that each gets.
        class_names: In the model's order; the folder's classes are among
            them. Of a folder without classes they are not needed.

    Raises:
        UserError: Without images, or with classes other than the model's.
    """
    if not folder.exists():
        raise ConfigError(
            f"`images` is a folder of images. There is no {folder}."
        )
    if folder.is_dir() and not _has_classes(folder):
        return FolderImages(_unlabelled(folder, shape), None)
    if class_names is None:
        raise ConfigError(
            "Which output of the model is which class of the folder, its "
            "class names say, in the order of the outputs.\nName them with "
            "`labels` a,b,c, or in labels.txt beside the model."
        )
    dataset = load("folder", folder)
    order = column_order(class_names, dataset.class_names, all_shown=False)
    rows = _part(len(dataset))
    paths = dataset.manifest["path"].to_numpy()[rows]
    images = [
        fit(dataset.read_image(path), shape)
        for path in track(paths, f"Images of {folder.name}", len(paths))
    ]
    return FolderImages(np.stack(images), order[dataset.labels[rows]])


def _has_classes(folder: Path) -> bool:
    return (folder / "manifest.csv").is_file() or any(
        find_image_files(path) for _, path in class_folders(folder)
    )


def _unlabelled(folder: Path, shape: tuple[int, int, int]) -> np.ndarray:
    tell_left_out(other_files(folder))
    files = find_image_files(folder)
    if not files:
        raise ConfigError(
            f"`images` is a folder of images. There are none in {folder}."
        )
    images, reason = [], ""
    chosen = [files[row] for row in _part(len(files))]
    for file in track(chosen, f"Images of {folder.name}", len(chosen)):
        try:
            images.append(fit(read_image(file), shape))
        except UnreadableImageError as error:
            reason = str(error)
    if not images:
        raise UserError(reason)
    return np.stack(images)


def _part(count: int) -> np.ndarray:
    """Row numbers, at most `MOST_IMAGES` and evenly spread."""
    return np.unique(
        np.linspace(0, count - 1, min(count, MOST_IMAGES)).round().astype(int)
    )
