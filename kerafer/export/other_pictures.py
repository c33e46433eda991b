"""Pictures of another kind than those that a model was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from kerafer.export.scores import measure_scores
from kerafer.export.verify import answer


@dataclasses.dataclass(frozen=True)
class OtherPictures:
    """A labelled folder that neither trained nor calibrated the model.

    Args:
        name: Of the folder, for people.
        pictures: uint8, `(pictures, height, width, channels)`, cut out and
            resized as the model takes them.
        labels: Class index of each, in the model's order.
        subjects: Who is on each, where that is known.
        searched: How many pictures there were; on those that are not among
            `pictures` no face was found.
        how: What was done to them, such as `"cut out around the face"`.
    """

    name: str
    pictures: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray | None
    searched: int
    how: str

    def measure(
        self, path: Path, class_names: tuple[str, ...], threads: int
    ) -> dict[str, Any]:
        """Score an exported file on them.

        Args:
            path: The file.
            class_names: In the order of its probabilities.
            threads: That compute.

        Returns:
            What `measure_scores` does, with `folder`, `how` and `searched`.
        """
        found = answer(path, self.pictures, threads).probabilities
        return {
            "folder": self.name,
            "how": self.how,
            "searched": self.searched,
            **measure_scores(self.labels, found, class_names, self.subjects),
        }
