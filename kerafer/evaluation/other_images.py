"""Images of another kind than those that a model was trained on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kerafer.evaluation.score_intervals import measure_scores
from kerafer.evaluation.score_section import score_section


@dataclasses.dataclass(frozen=True)
class OtherImages:
    """A labelled folder that neither trained nor calibrated the model.

    Args:
        name: Of the folder, for people.
        images: uint8, `(images, height, width, channels)`, cut out and
            resized as the model takes them.
        labels: Class index of each, in the model's order.
        subjects: Who is on each, where that is known.
        searched: How many images there were; on those that are not among
            `images` no face was found.
        how: What was done to them, such as `"cut out around the face"`.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray | None
    searched: int
    how: str

    def measure(
        self, probabilities: np.ndarray, class_names: tuple[str, ...]
    ) -> dict[str, Any]:
        """Score what a model says of them.

        Args:
            probabilities: Of shape `(images, classes)`.
            class_names: In the order of the probabilities.

        Returns:
            What `measure_scores` does, with `folder`, `how` and `searched`.
        """
        return {
            "folder": self.name,
            "how": self.how,
            "searched": self.searched,
            **measure_scores(
                self.labels, probabilities, class_names, self.subjects
            ),
        }


def other_images_section(file: str, other: dict[str, Any] | None) -> list[str]:
    """Lines of Markdown for a model card.

    Args:
        file: Whose scores they are.
        other: What `OtherImages.measure` returned, or `None`.
    """
    if other is None:
        return [
            "## On other images",
            "",
            "The scores above hold for images such as those tested. How well "
            "it does on other faces, cameras and light was not measured "
            "(`kerafer export --also-on DIR` does so).",
            "",
        ]
    return [
        f"## How well `{file}` does on other images",
        "",
        f"{other['searched']:,} labelled images of `{other['folder']}`, "
        "which neither trained nor calibrated it, "
        f"{other['how']}. {_lost(other)}",
        "",
        *score_section(other),
    ]


def _lost(other: dict[str, Any]) -> str:
    count = other["searched"] - other["n_images"]
    if not count:
        return "All are in the scores."
    right = other["accuracy"] * other["n_images"] / other["searched"]
    return (
        f"On {count:,} no face was found; the scores are of the other "
        f"{other['n_images']:,}. With those {count:,} counted as mistakes the "
        f"accuracy is {right:.1%}."
    )
