"""A data set: a table of images, and how to read them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerafer.console import console
from kerafer.errors import UserError, some_of

if TYPE_CHECKING:
    import pandas as pd

# Columns of soft labels, `prob:<class>`, and of labels most people agree on.
PROB = "prob:"
# Numbers of votes: `votes:<class>`, or a word for no class.
VOTES = "votes:"
MAJORITY = "majority"


def skipped_table(rows: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Return a table for `Dataset.skipped_files`."""
    import pandas as pd

    return pd.DataFrame(rows, columns=["path", "reason"], dtype=object)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A manifest of labelled images, their split and, once decoded, pixels.

    Args:
        name: Registry name, such as `"kdef"`.
        manifest: One row an image: `path` (relative to `root`, with `/`),
            `label` (a class name) and, if known, `subject`, `session`, `angle`
            and `split` (`"train"`, `"validation"` or `"test"`). If several
            people voted, `prob:<class>` for every class, which sum to 1, and
            optionally `votes:<class>` (their numbers) and `majority` (whether
            most people agree).
        class_names: The classes in the order of the model's outputs.
        root: Folder that the paths are relative to; `None` without files.
        source: Origin of the images, one line.
        licence: The terms they come under, one line.
        read: Takes a row's `path` and returns uint8 RGB of shape
            `(height, width, 3)`. Default: decode `root / path`.
        fingerprint: Key of the cache for a set without files, such as a seed.
        skipped_files: Files that are not used: columns `path` and `reason`.
        margin: Crop margin of the images, relative to the longer side of the
            detected box. `None`: they show more than a face.
        images: uint8 of shape `(images, size, size, channels)`, if decoded.
        decoding: The arguments of `decode` that made `images`.
        split_name: `paper`, `subject`, `given`, a fold or a file.
        notes: Remarks on the split, a sentence each.

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
    skipped_files: pd.DataFrame = dataclasses.field(
        default_factory=skipped_table
    )
    margin: float | None = None
    images: np.ndarray | None = None
    decoding: tuple = ()
    split_name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not {"path", "label"} <= set(self.manifest):
            raise UserError(
                "A manifest needs the columns path and label. Received: "
                f"{', '.join(self.manifest)}."
            )
        if self.manifest.empty:
            raise UserError(f"The data set {self.name} has no images.")
        unknown = sorted(set(self.manifest["label"]) - set(self.class_names))
        if unknown:
            raise UserError(
                f"Labels must be one of {', '.join(self.class_names)}. "
                f"Received: {', '.join(map(str, unknown))}."
            )

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def labels(self) -> np.ndarray:
        """Index into `class_names` of every image, int32."""
        index = {name: i for i, name in enumerate(self.class_names)}
        return self.manifest["label"].map(index).to_numpy(np.int32)

    @property
    def has_shares(self) -> bool:
        """Whether several people voted on each label."""
        return PROB + self.class_names[0] in self.manifest

    @property
    def targets(self) -> np.ndarray:
        """Soft or one-hot labels, float32 of shape `(images, classes)`."""
        if self.has_shares:
            columns = [PROB + name for name in self.class_names]
            return self.manifest[columns].to_numpy(np.float32)
        return np.eye(len(self.class_names), dtype=np.float32)[self.labels]

    @property
    def votes(self) -> np.ndarray | None:
        """Number of votes for each class and then for none, if known."""
        given = [name for name in self.manifest if name.startswith(VOTES)]
        classes = [VOTES + name for name in self.class_names]
        if not set(classes) <= set(given):
            return None
        rest = [name for name in given if name not in classes]
        return self.manifest[[*classes, *rest]].to_numpy(int)

    @property
    def majority(self) -> np.ndarray:
        """Whether more than half of the voters agree on each label, bool."""
        if MAJORITY in self.manifest:
            return self.manifest[MAJORITY].to_numpy(bool)
        return self.targets.max(axis=1) > 0.5

    @property
    def has_subjects(self) -> bool:
        """Whether every image says who is seen on it."""
        return "subject" in self.manifest and bool(
            self.manifest["subject"].notna().all()
        )

    def indices(self, part: str) -> np.ndarray:
        """Return the indices of the images of one part of the split."""
        return np.flatnonzero(self.manifest["split"].to_numpy() == part)

    @property
    def pixels(self) -> np.ndarray:
        """The decoded images.

        Raises:
            UserError: If they are not decoded.
        """
        if self.images is None:
            raise UserError(f"The images of {self.name} are not decoded.")
        return self.images

    def read_image(self, path: str) -> np.ndarray:
        """Decode the image of one row: uint8 RGB, `(height, width, 3)`."""
        if self.read is not None:
            return self.read(path)
        from kerafer.images import read_image

        return read_image(self.file_of(path))

    def file_of(self, path: str) -> str:
        """Return the file of one row of a set of files."""
        return os.path.join(self.root or "", path)

    def select(self, keep: np.ndarray) -> Dataset:
        """Return the data set with some rows, not yet decoded.

        Args:
            keep: A mask, or indices.
        """
        rows = np.arange(len(self))[keep]
        manifest = self.manifest.iloc[rows].reset_index(drop=True)
        return dataclasses.replace(
            self, manifest=manifest, images=None, decoding=()
        )

    def skip(self, reasons: Sequence[str | None]) -> Dataset:
        """Move the images that have a reason to `skipped_files`.

        Args:
            reasons: One for each image, `None` for those that stay.

        Raises:
            UserError: If no image is left, or none of a class to train on.
        """
        bad = np.array([reason is not None for reason in reasons])
        if not bad.any():
            return self
        paths = self.manifest["path"]
        new = [(p, r) for p, r in zip(paths, reasons, strict=True) if r]
        old = self.skipped_files.itertuples(index=False)
        dataset = dataclasses.replace(
            self, skipped_files=skipped_table([*old, *new])
        )
        kept = dataset if bad.all() else dataset.select(~bad)
        lost = self._trained_classes() - kept._trained_classes()
        if bad.all() or lost:
            of = f" of {', '.join(sorted(lost))}" if lost else ""
            raise UserError(
                f"No image{of} of the data set {self.name} can be used to "
                f"train.{dataset.describe_skipped()}"
            )
        return kept

    def _trained_classes(self) -> set[str]:
        labels = self.manifest["label"]
        train = self.manifest.get("split", labels) == "train"
        return set(labels[train] if train.any() else labels)

    def describe_skipped(self, most: int = 5) -> str:
        """Return lines of the reasons why files were skipped, with examples."""
        groups = self.skipped_files.groupby("reason")["path"]
        files = sorted(groups, key=lambda group: -len(group[1]))
        lines = [
            f"\n  {len(paths):,} skipped: {reason}: {some_of(list(paths), 3)}"
            for reason, paths in files[:most]
        ]
        if rest := sum(len(paths) for _, paths in files[most:]):
            lines.append(f"\n  {rest:,} skipped for other reasons")
        return "".join(lines)

    def print_skipped(self) -> None:
        """Print how many files are skipped, and why."""
        if count := len(self.skipped_files):
            console.print(
                f"{self.name}: {len(self):,} images, {count:,} skipped"
                f"{self.describe_skipped()}",
                soft_wrap=True,
            )
