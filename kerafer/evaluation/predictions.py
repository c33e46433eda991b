"""What a model said of every image, as a table that can be kept."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from kerafer.class_names import match_classes
from kerafer.classifier import check_probabilities
from kerafer.errors import UserError
from kerafer.tables import read_table, write_table

WITH_FLIPS = "with mirrored images"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A model's answers on one part of a data set.

    Args:
        paths: The images, as the data set's manifest names them.
        labels: Class index of every image, of shape `(images,)`.
        probabilities: float64 of shape `(images, classes)`, as from
            `checked_probabilities`.
        class_names: In the order of the columns.
        subjects: Who is on each image, where that is known.
        flips: Whether the probabilities are those of `with_flips`. Defaults
            to `False`.
    """

    paths: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    subjects: np.ndarray | None = None
    flips: bool = False

    @property
    def predicted(self) -> np.ndarray:
        """Index of the likeliest class of every image."""
        return self.probabilities.argmax(axis=1)

    @property
    def digest(self) -> str:
        """The `split_digest` of these images."""
        return split_digest(self.paths, self._names(self.labels))

    def write(self, file: str | os.PathLike) -> None:
        """Write a CSV file, whole or not at all, one row an image.

        Its columns are `path`, `subject` where it is known, `label`,
        `predicted` and `p_<class>` for the probability of each class; with
        `flips` also `probabilities`, which says "with mirrored images".
        """
        columns: dict[str, Any] = {"path": self.paths}
        if self.subjects is not None:
            columns["subject"] = self.subjects
        columns["label"] = self._names(self.labels)
        columns["predicted"] = self._names(self.predicted)
        if self.flips:
            columns["probabilities"] = WITH_FLIPS
        for name, values in zip(
            self.class_names, self.probabilities.T, strict=True
        ):
            columns[f"p_{name}"] = values
        write_table(file, pd.DataFrame(columns), float_format="%.9g")

    @classmethod
    def read(
        cls,
        file: str | os.PathLike,
        class_names: tuple[str, ...] | None = None,
    ) -> Predictions:
        """Read what `write` wrote.

        Args:
            file: The CSV file.
            class_names: In the order that the columns shall have. Defaults to
                that of the file.

        Raises:
            UserError: Where the file is no such table, or of other classes.
        """
        rule = (
            "Predictions are a CSV file with the columns path, label and "
            "p_<class> for each class"
        )
        try:
            table = read_table(file)
        except (ValueError, OSError) as error:
            raise UserError(
                f"{rule}. Received {os.fspath(file)}: {error}."
            ) from None
        given = [name[2:] for name in table if name.startswith("p_")]
        class_names = class_names or tuple(given)
        columns = [
            f"p_{name if place is None else given[place]}"
            for name, place in zip(
                class_names, match_classes(given, class_names), strict=True
            )
        ]
        lacking = [
            name for name in ("path", "label", *columns) if name not in table
        ]
        if lacking:
            raise UserError(
                f"{rule}. Missing in {os.fspath(file)}: {', '.join(lacking)}."
            )
        index = {column[2:]: i for i, column in enumerate(columns)}
        labels = table["label"].map(index)
        try:
            probabilities = table[columns].to_numpy(np.float64)
        except ValueError as error:
            raise UserError(
                f"{rule}. Received {os.fspath(file)}: {error}."
            ) from None
        if labels.isna().any():
            raise UserError(
                f"{rule}. {os.fspath(file)} has labels other than "
                f"{', '.join(class_names)}."
            )
        return cls(
            table["path"].to_numpy(object),
            labels.to_numpy(np.int32),
            checked_probabilities(probabilities, os.fspath(file)),
            class_names,
            table["subject"].to_numpy(object) if "subject" in table else None,
            "probabilities" in table,
        )

    def in_order(self, paths: np.ndarray) -> Predictions:
        """The same images in the order of `paths`."""
        rows = pd.Index(self.paths).get_indexer(paths)
        return dataclasses.replace(
            self,
            paths=self.paths[rows],
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            subjects=None if self.subjects is None else self.subjects[rows],
        )

    def _names(self, classes: np.ndarray) -> np.ndarray:
        return np.array(self.class_names, object)[classes]


def with_flips(
    run: Callable[[np.ndarray], np.ndarray], images: np.ndarray
) -> np.ndarray:
    """The mean of a model's probabilities of images and of their mirrors.

    Args:
        run: Takes images and gives probabilities of shape `(images,
            classes)`, whatever the model's kind.
        images: Of shape `(images, height, width, channels)`; left and right
            are exchanged for the second half of the mean.
    """
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    return (run(images) + run(mirrored)) / 2


def split_digest(paths: Iterable[str], labels: Iterable[str]) -> str:
    """sha256 over the sorted lines `path`, tab, `label` of images.

    Two evaluations with the same digest are of the same images.
    """
    pairs = zip(paths, labels, strict=True)
    lines = sorted(f"{path}\t{label}\n" for path, label in pairs)
    text = "".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()


def checked_probabilities(values: np.ndarray, origin: str) -> np.ndarray:
    """Probabilities in float64 whose rows sum to 1.

    Those of a file of 8 bits are rounded and so do not; every row is divided
    by its sum.

    Args:
        values: Of shape `(images, classes)`.
        origin: Who gave them, for the message.

    Raises:
        UserError: For other numbers, as `check_probabilities` says.
    """
    values = np.asarray(values, np.float64)
    check_probabilities(values, origin)
    return values / values.sum(axis=1, keepdims=True)
