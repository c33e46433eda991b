"""Per-image predictions as a table."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from kerafer.class_names import match_classes
from kerafer.errors import UserError
from kerafer.inference.probabilities import check_probabilities
from kerafer.tables import read_table, write_table


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predictions of a model for some images of a data set.

    Args:
        paths: The images, as named in the data set's manifest.
        labels: Class index of every image, of shape `(images,)`.
        probabilities: float64 of shape `(images, classes)`, as from
            `checked_probabilities`.
        class_names: In the order of the columns.
        subjects: Who is on each image, if known.
    """

    paths: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    subjects: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        """Index of the most probable class of every image."""
        return self.probabilities.argmax(axis=1)

    @property
    def digest(self) -> str:
        """The `split_digest` of these images."""
        return split_digest(self.paths, self._names(self.labels))

    def write(self, file: str | os.PathLike) -> None:
        """Write a CSV file with one row per image.

        Its columns are `path`, `subject` if known, `label`, `predicted` and
        `p_<class>`, the probability of each class.
        """
        columns: dict[str, Any] = {"path": self.paths}
        if self.subjects is not None:
            columns["subject"] = self.subjects
        columns["label"] = self._names(self.labels)
        columns["predicted"] = self._names(self.predicted)
        for index, name in enumerate(self.class_names):
            columns[f"p_{name}"] = self.probabilities[:, index]
        write_table(file, pd.DataFrame(columns), float_format="%.9g")

    @classmethod
    def read(
        cls,
        file: str | os.PathLike,
        class_names: tuple[str, ...] | None = None,
    ) -> Predictions:
        """Read a file that `write` made.

        Args:
            file: The CSV file.
            class_names: The order of the columns. Default: as in the file.

        Raises:
            UserError: If the file is no such table, or of other classes.
        """
        try:
            table = read_table(file)
            given = [name[2:] for name in table if name.startswith("p_")]
            names = class_names or tuple(given)
            places = match_classes(given, names)
            found = [given[i] for i in places if i is not None]
            if len(found) != len(names):
                raise ValueError(f"its classes are {', '.join(given)}")
            labels = table["label"].map({n: i for i, n in enumerate(found)})
            return cls(
                table["path"].to_numpy(object),
                labels.to_numpy(np.int32),
                checked_probabilities(
                    table[[f"p_{name}" for name in found]], os.fspath(file)
                ),
                names,
                table["subject"].to_numpy(object)
                if "subject" in table
                else None,
            )
        except (ValueError, KeyError, OSError) as error:
            raise UserError(
                f"Cannot read predictions from {os.fspath(file)}: {error}. The "
                "CSV file must have the columns path, label, and p_<class> for "
                "each class."
            ) from None

    def _names(self, classes: np.ndarray) -> np.ndarray:
        return np.array(self.class_names, object)[classes]


def predict_with_flips(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray
) -> np.ndarray:
    """Average the probabilities of images and of their mirror images.

    Args:
        predict: Takes images and returns probabilities.
        images: Of shape `(images, height, width, channels)`.

    Returns:
        Probabilities of shape `(images, classes)`.
    """
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    return (predict(images) + predict(mirrored)) / 2


def split_digest(paths: Iterable[str], labels: Iterable[str]) -> str:
    """Identify a set of labelled images, in any order.

    Returns:
        sha256 over the sorted lines `path`, tab, `label`.
    """
    pairs = zip(paths, labels, strict=True)
    text = "".join(sorted(f"{path}\t{label}\n" for path, label in pairs))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def checked_probabilities(values: np.ndarray, origin: str) -> np.ndarray:
    """Check probabilities and divide every row by its sum.

    The rounded outputs of an 8-bit model do not sum to 1.

    Args:
        values: Of shape `(images, classes)`.
        origin: The model, for the message.

    Returns:
        float64, each row with sum 1.

    Raises:
        UserError: For other numbers, as from `check_probabilities`.
    """
    values = np.asarray(values, np.float64)
    check_probabilities(values, origin)
    return values / values.sum(axis=1, keepdims=True)
