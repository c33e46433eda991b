"""A data set: a table of images and what is known about it."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerafer.datasets.cores import threads_for
from kerafer.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

REQUIRED_COLUMNS = ("path", "label")
# Before a class name: the column of its share in the label.
SHARE = "prob:"
# The column that says whether most people agree on a label.
MAJORITY = "majority"


def _none_left_out() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=["path", "reason"])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with labels, before any of them is decoded.

    Args:
        name: Registry name, such as `"kdef"`.
        manifest: One row an image. `path` (relative to `root`, with `/`) and
            `label` (a class name) are always there; `subject` (who is seen),
            `session`, `angle` and `split` (`"train"`, `"validation"` or
            `"test"`, where the set was published divided) where the set knows
            them. `prob:<class>` for every class, or for none: which part of
            the label it has, where several people said what they see; they
            sum to 1. With them `majority`, where the set says itself on
            which images most people agree.
        class_names: The classes in the order of the model's outputs. Every
            label of the manifest is one of them.
        root: Folder that the paths are relative to; `None` where no file
            stands behind the rows (a drawn set).
        source: Where the images came from, one line.
        licence: The terms they come under, one line.
        read: Takes a row's `path` and returns uint8 RGB of shape
            `(height, width, 3)`. The default decodes `root / path`.
        fingerprint: What the images of a set without files depend on beside
            their paths, such as a seed; what was decoded is kept under it.
        left_out: Files that were found and not taken, with the reason:
            columns `path` and `reason`.
        margin: Of a face's crop with which the images, whole, would have been
            cut out, as a part of the longer side of a detector's box; `None`,
            the default, where they show more than a face.

    Raises:
        UserError: Without images, with a missing column, or with a label
            outside `class_names`.
    """

    name: str
    manifest: pd.DataFrame
    class_names: tuple[str, ...]
    root: Path | None = None
    source: str = ""
    licence: str = ""
    read: Callable[[str], np.ndarray] | None = None
    fingerprint: str = ""
    left_out: pd.DataFrame = dataclasses.field(default_factory=_none_left_out)
    margin: float | None = None

    def __post_init__(self) -> None:
        missing = [c for c in REQUIRED_COLUMNS if c not in self.manifest]
        if missing:
            raise UserError(
                f"A manifest has the columns {', '.join(REQUIRED_COLUMNS)}. "
                f"Missing: {', '.join(missing)}."
            )
        if self.manifest.empty:
            raise UserError(f"The data set {self.name} has no image.")
        unknown = sorted(set(self.manifest["label"]) - set(self.class_names))
        if unknown:
            raise UserError(
                f"Every label is one of {', '.join(self.class_names)}. "
                f"Received: {', '.join(map(str, unknown))}."
            )

    def __len__(self) -> int:
        return len(self.manifest)

    @functools.cached_property
    def threads(self) -> int:
        """How many threads read its images fastest."""
        if self.read is not None or self.root is None:
            return threads_for([])
        root = os.fspath(self.root)
        return threads_for(
            [os.path.join(root, p) for p in self.manifest["path"]]
        )

    @property
    def labels(self) -> np.ndarray:
        """Index into `class_names` of every image, int32."""
        index = {name: i for i, name in enumerate(self.class_names)}
        return self.manifest["label"].map(index).to_numpy(np.int32)

    @property
    def has_shares(self) -> bool:
        """Whether the labels are shares of classes."""
        return SHARE + self.class_names[0] in self.manifest

    @property
    def targets(self) -> np.ndarray:
        """What is learnt: float32 of shape `(images, classes)`.

        The shares of the classes, or 1 for the label's.
        """
        if self.has_shares:
            columns = [SHARE + name for name in self.class_names]
            return self.manifest[columns].to_numpy(np.float32)
        return np.eye(len(self.class_names), dtype=np.float32)[self.labels]

    @property
    def majority(self) -> np.ndarray:
        """Whether more than half of those asked agree on each label, bool."""
        if MAJORITY in self.manifest:
            return self.manifest[MAJORITY].to_numpy(bool)
        return self.targets.max(axis=1) > 0.5

    @property
    def has_subjects(self) -> bool:
        """Whether every image says who is seen on it."""
        return (
            "subject" in self.manifest
            and self.manifest["subject"].notna().all()
        )

    def read_image(self, path: str) -> np.ndarray:
        """Decode the image of one row: uint8 RGB, `(height, width, 3)`."""
        if self.read is not None:
            return self.read(path)
        from kerafer.images import read_image

        return read_image(self.file_of(path))

    def file_of(self, path: str) -> Path:
        """The file behind one row, where there are files."""
        return (self.root or Path()) / path

    def select(self, keep: np.ndarray) -> Dataset:
        """The data set with only the rows that `keep` (mask or index) names."""
        rows = np.arange(len(self))[keep]
        manifest = self.manifest.iloc[rows]
        return dataclasses.replace(
            self, manifest=manifest.reset_index(drop=True)
        )
