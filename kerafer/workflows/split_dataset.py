"""Data set, split and decoded images, as the flags of a command say."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import pandas as pd

from kerafer.console import console
from kerafer.datasets import Dataset, load, make_split, read_split
from kerafer.datasets.config import DataConfig
from kerafer.datasets.kdef import parse_angles
from kerafer.datasets.splits import PARTS, shared_subjects
from kerafer.faces import MARGIN


@dataclasses.dataclass(frozen=True)
class SplitDataset:
    """A data set that is divided.

    Args:
        dataset: The data set.
        split: `"train"`, `"validation"` or `"test"` for each row.
        split_name: How it was divided: `paper`, `subject`, `given` or a file.
        notes: What one should know of the division, a sentence each.
        boxes: The face on each image, or `None` for whole images.
    """

    dataset: Dataset
    split: pd.Series
    split_name: str
    notes: tuple[str, ...]
    boxes: list | None = None

    def rows(self, part: str) -> np.ndarray:
        """Indices of the images of one part of the split."""
        return np.flatnonzero(self.split.to_numpy() == part)

    def decode(
        self, config: DataConfig, margin: float | None = None
    ) -> np.ndarray:
        """All images, uint8, of the size that the configuration names.

        Args:
            config: The data flags.
            margin: Around faces that are cut out. Defaults to that of the
                flags.
        """
        from kerafer.datasets.decoded import decode

        if margin is None:
            margin = config.face_margin
        return decode(
            self.dataset,
            config.image_size,
            config.channels,
            self.boxes,
            MARGIN if margin is None else margin,
        )


def find_data(
    config: DataConfig, split_file: str | os.PathLike[str] | None = None
) -> SplitDataset:
    """Load and divide what the configuration names, and say what was found.

    Args:
        config: The data flags.
        split_file: A split to read back instead of drawing one.
    """
    dataset = load(config.dataset, config.data_dir, **_options(config))
    dataset, boxes = _crop(dataset, config)
    if split_file is None and config.split and config.split.endswith(".csv"):
        split_file = config.split
    if split_file is not None:
        split = read_split(split_file, dataset)
        name = os.fspath(split_file)
    else:
        split = make_split(dataset, config.split, config.seed)
        name = split.attrs["kind"]
    notes = list(split.attrs["notes"])
    if dataset.has_subjects:
        shared = len(shared_subjects(dataset, split, "train", "test"))
        people = dataset.manifest["subject"].nunique()
        notes.append(
            f"{shared} of {people} people stand in both training and test."
            if shared
            else f"None of the {people} people stands in two parts."
        )
    counts = split.value_counts()
    sizes = ", ".join(f"{counts.get(part, 0):,} {part}" for part in PARTS)
    console.print(f"{dataset.name}: {len(dataset):,} images, {sizes}")
    for note in notes:
        console.print(f"  {note}")
    return SplitDataset(dataset, split, name, tuple(notes), boxes)


def _options(config: DataConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "angles": config.angles and parse_angles(config.angles),
        "people": config.subjects,
        "subject_pattern": config.subject_pattern,
        "download": config.download,
    }
    if config.dataset == "synthetic":
        options["image_size"] = config.image_size
    return options


def _crop(dataset: Dataset, config: DataConfig) -> tuple[Dataset, list | None]:
    if config.face_crop == "none":
        return dataset, None
    from kerafer.datasets.face_search import find_faces

    boxes = find_faces(dataset, config.face_crop)
    found = np.array([box is not None for box in boxes])
    lost = int((~found).sum())
    kept = "left out" if config.without_face == "drop" else "kept whole"
    console.print(
        f"Faces were found on {found.sum():,} images; {lost:,} without one "
        f"are {kept}."
    )
    if lost and config.without_face == "drop":
        dataset = dataset.select(found)
        boxes = [box for box in boxes if box is not None]
    return dataset, boxes
